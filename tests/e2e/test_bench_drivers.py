#!/usr/bin/env python3
"""The drivers of tests/bench-drivers: each delivers to a correct server under every policy, and sends nothing in clear to one without
STARTTLS when TLS is required."""
import concurrent.futures
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"
HERE = pathlib.Path(__file__).resolve().parents[1]
DRIVERS = ("swaks", "curl", "msmtp", "smtplib", "nodemailer", "postfix", "exim", "opensmtpd", "postern")
POLICIES = ("opportunistic", "required", "verified")
SEVERAL = """
scenario "several" {
    doc = "one recipient is refused" correct = "the others get each message once" source = "RFC 5321 3.3"
    recipients = {"one", "bad", "two"} messages = 2
    step { at = rcpt rcpt = "bad@*" reply = {"550 5.1.1 nobody"} }
}
"""


class Drivers(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, True)
        (cls.dir / "several.conf").write_text(SEVERAL)
        run(BENCH, "pki", cls.dir / "pki")
        pool = concurrent.futures.ThreadPoolExecutor(6)  # senders mostly wait
        cls.addClassCleanup(pool.shutdown)
        cls.runs = {(d, p): pool.submit(cls.bench, d, p) for d in DRIVERS for p in POLICIES}

    @classmethod
    def bench(cls, driver, policy):
        out = cls.dir / f"{driver}-{policy}"
        done = run(BENCH, "run", "--catalogue", HERE.parent / "conf/bench", "--scenario", cls.dir / "several.conf", "--only",
                   "good,starttls.absent,several", "--policy", policy, "--out", out, "--pki", cls.dir / "pki", "--verbose", "--",
                   HERE / "bench-drivers" / driver, check=False, timeout=200)
        done.results = dict(re.findall(r"(?m)^(\S+) +(pass|FAIL|undecided) ", done.out))
        done.sessions = [[json.loads(l) for l in p.read_text().splitlines()] for p in out.glob("*-*.jsonl")]
        return done

    def of(self, done, scenario, ev):
        return [l for s in done.sessions if s[0]["scenario"] == scenario for l in s if l["ev"] == ev]

    def check(self, driver):
        for policy in POLICIES:
            with self.subTest(policy=policy):
                done = self.runs[driver, policy].result()
                if "exit 127" in done.err:
                    self.skipTest(done.err.strip())
                self.assertEqual(done.returncode, 0, done.out + done.err)
                self.assertEqual(done.results["good"], "pass", done.out)
                taken = [m for m in self.of(done, "good", "message") if m["accepted"]]
                self.assertEqual(len(taken), 1)
                self.assertTrue(taken[0]["tls"] or (driver, policy) == ("msmtp", "opportunistic"))
                mail = [r for r in self.of(done, "starttls.absent", "recv") if r["verb"] == "MAIL"]
                self.assertEqual([m for m in mail if not m["tls"]] != [], policy == "opportunistic", done.out)
                self.several(driver, done)

    def several(self, driver, done):
        """Every recipient is named for each message, and nothing is sent twice."""
        rcpts = [re.search("<(.*?)@", r["arg"]).group(1) for r in self.of(done, "several", "recv") if r["verb"] == "RCPT"]
        self.assertIn("bad", rcpts, done.out)
        taken = [m for m in self.of(done, "several", "message") if m["accepted"]]
        if driver in ("curl", "msmtp"):  # they give the message up for one that is refused
            self.assertEqual(taken, [])
        else:
            self.assertGreaterEqual(len(taken), 2, done.out)
            self.assertEqual(sorted(set(rcpts)), ["bad", "one", "two"])
            self.assertEqual(rcpts.count("bad"), 2, rcpts)

    def test_without_the_program(self):
        env = dict(os.environ, PATH=str(self.dir / "no-such"))
        for driver in ("swaks", "curl", "msmtp", "nodemailer"):
            done = run("/bin/sh", HERE / "bench-drivers" / driver, check=False, env=env)
            self.assertEqual(done.returncode, 127)
            self.assertIn("is not installed", done.err)


for name in DRIVERS:
    setattr(Drivers, f"test_{name}", lambda self, name=name: self.check(name))


if __name__ == "__main__":
    main()
