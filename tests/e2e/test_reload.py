#!/usr/bin/env python3
"""A reload never makes anything worse, and nobody who is connected notices it."""
import os
import pathlib
import signal
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

ONE = {"mx": {"tls": "starttls"}}
BODY = b"Subject: r\n\nreload\n"


class Reload(DaemonTest):
    def generation(self, d):
        return d.status()["generation"]

    def test_takes_what_changed(self):
        d = self.daemon(listeners=ONE)
        with d.client() as old:
            old.hello()
            d.domain = d.domain.replace('"bob"', '"bob", "carol"')
            d.write()
            self.assertEqual(d.reload().returncode, 0)
            with d.client() as c:
                c.hello()
                self.assertEqual(c.deliver(BODY, to=["carol@example.test"]).code, 250)
            # the old session lives on, in its own generation
            self.assertEqual(old.deliver(BODY).code, 250)
            old.expect("MAIL FROM:<a@example.net>", 250)
            old.expect("RCPT TO:<carol@example.test>", 550)

    def test_sighup(self):
        d = self.daemon(listeners=ONE)
        before = self.generation(d)
        d.proc.send_signal(signal.SIGHUP)
        wait_until(lambda: self.generation(d) > before)

    def test_broken_configuration_changes_nothing(self):
        d = self.daemon(listeners=ONE)
        before = self.generation(d)
        good = d.conf.read_text()
        d.conf.write_text(good + "\nlistner \"x\" { }\nhostnam = \"y\"\n")
        done = d.reload()
        self.assertEqual(done.returncode, 2)
        text = done.out + done.err
        self.assertIn("listener", text, "the nearest valid name")
        self.assertIn("hostname", text, "all at once")
        self.assertRegex(text, rf"{d.conf.name}:{len(good.splitlines()) + 2}")
        self.assertEqual(self.generation(d), before)
        self.assertTrue(d.offers())
        d.wait_event("tls.reload-failed")

    def test_bad_key(self):
        d = self.daemon(listeners=ONE)
        d.key.write_bytes(b"garbage")
        d.reload()
        self.assertTrue(d.offers())
        self.assertEqual(d.why("mx")["rejected"][0]["reason"], "unparsable")

    def test_mismatch_within_the_debounce_is_not_an_error(self):
        """A renewal writes chain and key one after the other."""
        d = self.daemon(listeners=ONE)
        d.ca.issue(d.dir / "n.pem", d.dir / "n-key.pem")
        fresh = run("openssl", "x509", "-in", d.dir / "n.pem", "-noout", "-fingerprint", "-sha256").out
        os.rename(d.dir / "n.pem", d.chain)
        # long enough for the daemon to look in between, shorter than its debounce
        seen = len(d.events("tls.certificate-rejected"))
        end = time.monotonic() + 2.5
        wait_until(lambda: time.monotonic() > end)
        os.rename(d.dir / "n-key.pem", d.key)
        digits = fresh.split("=")[1].strip().replace(":", "").lower()

        def serves():
            return d.why("mx")["certificates"][0]["fingerprint"].replace(":", "").lower() == digits
        wait_until(serves, 15)
        self.assertEqual(len(d.events("tls.certificate-rejected")), seen)

    def test_unbindable_port(self):
        d = self.daemon(listeners=dict(ONE))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            d.listeners["second"] = {"address": '{"127.0.0.1:%d"}' % taken.getsockname()[1], "tls": "off"}
            d.write()
            done = d.reload()
            self.assertEqual(done.returncode, 2)
            self.assertIn(str(taken.getsockname()[1]), done.out + done.err)
        self.assertTrue(d.offers())

    def test_death_before_ready(self):
        """A new generation that dies while it is made is no harm to the old one."""
        d = self.prepared(listeners=ONE)
        for i in range(12):  # something to load, so that there is a time in which to die
            title = f"more{i}"
            d.certificates[title] = (d.dir / f"{title}.pem", d.dir / f"{title}-key.pem")
            d.ca.issue(*d.certificates[title], name=f"{title}.example.org", kind="rsa")
        d.write()
        d.start()
        before = self.generation(d)
        old = {p["pid"] for p in d.status()["processes"]}
        tasks = pathlib.Path(f"/proc/{d.proc.pid}/task/{d.proc.pid}/children")
        killed = 0
        with d.client() as c:
            c.hello()
            for _ in range(5):
                d.proc.send_signal(signal.SIGHUP)
                young = wait_until(lambda: [int(p) for p in tasks.read_text().split() if int(p) not in old], every=0.001)
                for pid in young:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed += 1
                wait_until(lambda: not [p for p in tasks.read_text().split() if int(p) in young])
                self.assertEqual(self.generation(d), before)
                self.assertTrue(d.offers())
                c.expect("NOOP", 250)
        self.assertEqual(killed, 5)
        d.wait_event("tls.reload-failed")
        self.assertEqual(d.reload().returncode, 0)
        self.assertGreater(self.generation(d), before)

    def test_expired_does_not_replace(self):
        d = self.daemon(listeners=ONE)
        d.ca.issue(d.chain, d.key, start=-30, end=-1)
        done = d.reload()
        self.assertEqual(done.returncode, 0, "an unusable file never fails a reload")
        report = d.why("mx")
        self.assertEqual((report["reason"], report["rejected"][0]["reason"]), ("ok", "expired"))
        self.assertTrue(report["certificates"][0]["fromSnapshot"])

    def test_sockets_never_close(self):
        """Connections that wait in the backlog while generations change are all served."""
        d = self.daemon(listeners=ONE)
        port = d.port("mx")
        for _ in range(5):
            reload = subprocess.Popen(d.argv("reload", "-c", d.conf), env=d.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            held = [Client(port) for _ in range(50)]
            try:
                for c in held:
                    c.expect(None, 220)
            finally:
                for c in held:
                    c.close()
            self.assertEqual(reload.wait(PATIENCE), 0)
        self.assertEqual(d.port("mx"), port, "port 0 is the same port after a reload")

    def test_listeners_come_and_go(self):
        d = self.daemon(listeners=dict(ONE))
        d.listeners["more"] = {"tls": "off"}
        d.write()
        self.assertEqual(d.reload().returncode, 0)
        more = d.port("more")
        Client(more).expect(None, 220)
        del d.listeners["more"]
        d.write()
        self.assertEqual(d.reload().returncode, 0)

        def refused():
            try:
                Client(more, timeout=2).close()
                return False
            except ConnectionRefusedError:
                return True
        wait_until(refused)
        self.assertTrue(d.offers())

    def test_old_generation_idle_sessions_are_let_go(self):
        d = self.daemon(listeners=ONE, options={"drain-idle": "1"})
        with d.client() as c:
            c.hello()
            self.assertEqual(d.reload().returncode, 0)
            self.assertIn("4.3.2", c.reply())
            self.assertTrue(c.ended())

    def test_fifth_generation(self):
        """The oldest says 421 at its next boundary outside a transaction, and never inside one."""
        d = self.daemon(listeners=ONE)
        with d.client() as idle, d.client() as busy, contextlib.ExitStack() as held:
            idle.hello()
            busy.hello()
            busy.expect("MAIL FROM:<a@example.net>", 250)
            for _ in range(5):
                self.assertEqual(d.reload().returncode, 0)
                held.enter_context(d.client()).hello()  # or that generation would end at once
            self.assertEqual(idle.reply().code, 421)
            busy.expect("RCPT TO:<alice@example.test>", 250)
            busy.expect("DATA", 354)
            busy.send(stuff(BODY))
            self.assertEqual(busy.reply().code, 250)
            self.assertEqual(busy.reply().code, 421)
        self.assertEqual(d.bodies(), [BODY])

    def test_drain_waits_for_data(self):
        d = self.daemon(listeners=ONE)
        with d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("RCPT TO:<alice@example.test>", 250)
            c.expect("DATA", 354)
            c.send("Subject: in the middle\r\n")
            drain = subprocess.Popen(d.argv("drain", "-c", d.conf), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=d.environment())

            def refused():
                try:
                    Client(d.port("mx"), timeout=1).close()
                    return False
                except OSError:
                    return True
            wait_until(refused)
            c.send("\r\nrest\r\n.\r\n")
            self.assertEqual(c.reply().code, 250)
            c.expect("QUIT", 221)
        self.assertEqual(d.proc.wait(PATIENCE), 0)
        drain.communicate(timeout=PATIENCE)
        self.assertEqual(d.bodies(), [b"Subject: in the middle\n\nrest\n"])

    def test_sigterm_lets_data_finish(self):
        d = self.daemon(listeners=ONE)
        with d.client() as c, d.client() as idle:
            c.hello()
            idle.hello()
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("RCPT TO:<alice@example.test>", 250)
            c.expect("DATA", 354)
            c.send("Subject: x\r\n")
            wait_until(lambda: d.status()["counters"]["transactionsNow"] == 1)
            d.proc.send_signal(signal.SIGTERM)
            self.assertEqual(idle.reply().code, 421)
            c.send("\r\nend\r\n.\r\n")
            self.assertEqual(c.reply().code, 250)
        self.assertEqual(d.proc.wait(PATIENCE), 0)
        self.assertEqual(len(d.messages()), 1)

    def test_a_hundred_under_load(self):
        d = self.daemon(listeners=ONE)
        stop = threading.Event()
        failures, delivered = [], [0, 0]

        def load(n):
            ctx = trusting()
            while not stop.is_set():
                try:
                    with d.client() as c:
                        c.hello()
                        if n:
                            c.starttls(ctx)
                            c.expect("EHLO x.example.net", 250)
                        for _ in range(3):
                            reply = c.deliver(BODY)
                            if reply.code != 250:
                                failures.append(reply)
                            delivered[n] += 1
                        c.expect("QUIT", 221)
                except Exception as e:  # noqa: BLE001
                    failures.append(repr(e))
        threads = [threading.Thread(target=load, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        try:
            for i in range(30 if IS_ASAN else 100):
                done = d.reload()
                self.assertEqual(done.returncode, 0, done.out + done.err)
        finally:
            stop.set()
            for t in threads:
                t.join(PATIENCE)
        self.assertEqual(failures, [])
        self.assertEqual(len(d.messages()), sum(delivered))
        self.assertGreater(min(delivered), 0)
        # the generations that were drained are gone
        wait_until(lambda: len(d.status()["generations"]) == 1)

    def test_second_daemon_is_refused(self):
        d = self.daemon(listeners=ONE)
        done = run(*d.argv("run", "-c", d.conf), check=False, env=d.environment())
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(d.state), done.out + done.err)
        self.assertTrue(d.offers())


if __name__ == "__main__":
    main()
