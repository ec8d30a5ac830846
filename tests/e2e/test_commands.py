#!/usr/bin/env python3
"""The commands: what they print, and what they exit with."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403


class Commands(DaemonTest):
    def test_usage(self):
        for words in ([], ["nonsense"], ["check", "--nonsense"], ["why", "-c"]):
            self.assertEqual(run(POSTERN, *words, check=False).returncode, 64, words)

    def test_version(self):
        out = run(POSTERN, "version").out
        self.assertRegex(out, r"postern \d+\.\d+")
        self.assertIn("OpenSSL", out)

    def test_unreachable(self):
        d = self.prepared()
        for command in ("why", "status", "reload", "drain"):
            done = d.command(command)
            self.assertEqual(done.returncode, 3, command)
            self.assertIn("not running", (done.out + done.err))

    def test_asking_works_while_the_file_is_broken(self):
        d = self.daemon()
        d.conf.write_text(f'state-dir = "{d.state}"\nlistener {{{{ broken\n')
        self.assertEqual(d.command("status").returncode, 0)
        self.assertEqual(run(*d.argv("why", "--state-dir", d.state), check=False, env=d.environment()).returncode, 0)

    def test_check_equals_why(self):
        d = self.daemon()
        d.ca.issue(d.chain, d.key, end=60.5)  # a day does not end between the two questions
        self.assertEqual(d.reload().returncode, 0)
        check = {l["listener"]: l for l in json.loads(d.command("check", "--json").out)["listeners"]}
        why = d.why()
        self.assertEqual(set(check), set(why))
        for name in check:
            for key in ("role", "tls", "offered", "advertised", "reason", "details", "hint", "certificate", "daysLeft", "rejected"):
                self.assertEqual(check[name][key], why[name][key], (name, key))

    def test_check_names_every_problem(self):
        d = self.prepared()
        good = d.conf.read_text().splitlines()
        d.conf.write_text("\n".join(good + ["max-recipients = many", "hostnam = \"x\"", 'listener "z" { address = {"nonsense"} }']) + "\n")
        done = d.command("check")
        self.assertEqual(done.returncode, 2)
        text = done.out + done.err
        for i, word in enumerate(("max-recipients", "hostname", "nonsense"), len(good) + 1):
            self.assertRegex(text, rf"postern\.conf:{i}:.*{word}")

    def test_status(self):
        d = self.daemon()
        with d.client() as c:
            c.hello()
            c.deliver(b"Subject: x\n\n")
            s = d.status()
            self.assertEqual(s["counters"]["messages"], 1)
            self.assertEqual(s["counters"]["connectionsNow"], 1)
        roles = {p["role"].split()[0] for p in s["processes"]}
        self.assertEqual(roles, {"supervisor", "leader", "store", "worker"})
        self.assertIn("messages", d.command("status", check=True).out)

    def test_init(self):
        d = self.prepared()
        where = d.dir / "set"
        done = run(POSTERN, "init", "--dir", where, "--domain", "example.test")
        for word in ("swaks", "openssl s_client", "why"):
            self.assertIn(word, done.out)
        self.assertEqual(done.err, "")
        self.assertEqual(run(POSTERN, "check", "-c", where / "postern.conf", check=False).returncode & ~1, 0)
        self.assertNotEqual(run(POSTERN, "init", "--dir", where, "--domain", "example.test", check=False).returncode, 0)
        out = run("openssl", "verify", "-CAfile", where / "ca.pem", where / "cert.pem").out
        self.assertIn("OK", out)

    @unittest.skipUnless(IS_ROOT, "needs root: without it the daemon has the account of whoever starts it")
    def test_init_where_the_account_cannot_go(self):
        """A clone in /root: mail arrives all the same, so nothing may be said against it."""
        d = self.prepared()
        os.chmod(d.dir, 0o700)
        done = run(POSTERN, "init", "--dir", d.dir / "set", "--domain", "example.test")
        self.assertEqual(done.err, "")
        d.start()
        for reload in (False, True):
            if reload:
                d.reload()
            with d.client() as c:
                c.hello()
                self.assertEqual(c.deliver(b"Subject: below a closed directory\n\n").code, 250)
        self.assertEqual(len(d.messages()), 2)

    def test_explain(self):
        for text in ("451 4.7.6 STARTTLS required but not advertised", "starttls-not-supported",
                     "TLS is required, but was not offered by host mx.example.test[192.0.2.1]"):
            done = run(POSTERN, "explain", text)
            self.assertIn("postern why", done.out, text)
        self.assertEqual(run(POSTERN, "explain", "quite unknown words", check=False).returncode, 1)

    def test_check_exit_codes(self):
        d = self.prepared(lab=False)  # the lab is warned about
        self.assertEqual(d.command("check").returncode, 0)
        os.chmod(d.key, 0o644)
        self.assertEqual(d.command("check").returncode, 1, "a warning")
        d.chain.unlink()
        self.assertEqual(d.command("check").returncode, 2)

    def test_sandbox_is_said(self):
        d = self.daemon()
        for role in ("worker", "store"):
            wait_until(lambda: [e for e in d.events("sandbox.ready") if role in e])


if __name__ == "__main__":
    main()
