#!/usr/bin/env python3
"""What hostile clients send: the documented reply or close, memory flat, others served."""
import pathlib
import resource
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403


class Hostile(DaemonTest):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.d = Daemon(options={"max-connections": "15000"})

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        text, reports = cls.d.log_text(), cls.d.reports()
        cls.d.remove()
        assert not reports, reports
        assert "worker.died" not in text and "process.died" not in text, text[-4000:]

    def others_served(self):
        with self.d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: other\n\nx\n").code, 250)

    def memory(self):
        """Resident KiB of all workers."""
        total = 0
        for pid in self.d.pids("worker"):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def in_data(self, c):
        c.hello()
        c.expect("MAIL FROM:<a@example.net>", 250)
        c.expect("RCPT TO:<alice@example.test>", 250)
        c.expect("DATA", 354)

    def test_injection_behind_starttls(self):
        with self.d.client() as c:
            c.hello()
            c.send("STARTTLS\r\nMAIL FROM:<evil@example.net>\r\n")
            self.assertTrue(c.ended(), "no 220, nothing interpreted")
        self.d.wait_event("smtp.start-tls-injection")
        self.others_served()

    def test_smuggling_ends(self):
        for end in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n"):
            with self.subTest(end):
                before = len(self.d.messages())
                with self.d.client() as c:
                    self.in_data(c)
                    c.send(b"Subject: outer" + end + b"MAIL FROM:<inner@example.net>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: inner\r\n.\r\n")
                    self.assertEqual(c.reply().code, 550, "after the true end")
                    c.expect("NOOP", 250)
                self.assertEqual(len(self.d.messages()), before)

    def test_bare_lf_ends_no_command(self):
        with self.d.client() as c:
            c.hello()
            c.send("NOOP\nNOOP\r\n")
            self.assertEqual(c.reply().code, 500)
            c.expect("NOOP", 250)

    @looks_inside
    def test_no_line_end(self):
        """100 MB without a line end, in a command and in DATA."""
        size = 100_000_000 if not IS_ASAN else 60_000_000  # more than max-message-size
        before = self.memory()
        block = b"x" * 1_000_000
        with self.d.client() as c:
            c.hello()
            for _ in range(size // len(block)):
                c.send(block)
            self.assertLess(self.memory() - before, 8192 if not IS_ASAN else 65536)
            c.send("\r\n")
            self.assertEqual(c.reply().code, 500)
            c.expect("NOOP", 250)
        with self.d.client() as c:
            self.in_data(c)
            for _ in range(size // len(block)):
                c.send(block)
            self.assertLess(self.memory() - before, 8192 if not IS_ASAN else 65536)
            c.send("\r\n.\r\n")
            self.assertEqual(c.reply().code, 552, "over max-message-size")
        self.others_served()

    @looks_inside
    def test_silent_connections(self):
        count = 2000 if IS_ASAN else 7000
        before = self.memory()
        held = []
        try:
            for i in range(count):
                s = socket.create_connection(("127.0.0.1", self.d.port("mx")), source_address=(f"127.0.{i // 5000 + 1}.1", 0))
                held.append(s)
            wait_until(lambda: self.d.status()["counters"]["connectionsNow"] >= count)
            if not IS_ASAN:
                self.assertLess((self.memory() - before) / count, 4, "KiB for each silent connection")
            started = time.monotonic()
            self.others_served()
            self.assertLess(time.monotonic() - started, 5)
        finally:
            for s in held:
                s.close()
        wait_until(lambda: self.d.status()["counters"]["connectionsNow"] < 10)

    def test_half_close(self):
        with self.d.client() as c:
            c.expect(None, 220)
            c.send("EHLO x.example.net\r\nNOOP\r\n")
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(c.reply().code, 250)
            self.assertEqual(c.reply().code, 250)
            wait_until(c.ended)

    def test_reset_in_data(self):
        before = len(self.d.messages())
        for _ in range(20):
            c = self.d.client()
            self.in_data(c)
            c.send("Subject: x\r\n\r\nhalf")
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
        wait_until(lambda: self.d.status()["counters"]["connectionsNow"] == 0)
        self.assertEqual(len(self.d.messages()), before)
        self.others_served()

    def test_binary_noise(self):
        import random
        rng = random.Random(7)
        for _ in range(50):
            with self.d.client() as c:
                with contextlib.suppress(OSError):
                    c.send(bytes(rng.randrange(256) for _ in range(3000)) + b"\r\n")
                    c.sock.shutdown(socket.SHUT_WR)
                    while c.sock.recv(65536):
                        pass
        self.others_served()

    @looks_inside
    def test_never_reading(self):
        """A client that asks and asks and reads nothing gets no memory."""
        before = self.memory()
        with self.d.client() as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.sock.settimeout(2)
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 50_000_000:
                    sent += c.sock.send(b"HELP\r\n" * 10000)
            self.assertLess(self.memory() - before, 8192 if not IS_ASAN else 65536)
        self.others_served()

    def test_talks_before_the_banner(self):
        d = self.daemon(options={"greet-delay": "1s"})
        with d.client() as c:
            c.send("EHLO early.example.net\r\n")
            self.assertIn(c.reply().code, (220, 421, 554))
        wait_until(lambda: [l for l in d.log_text().splitlines() if "early" in l])


if __name__ == "__main__":
    main()
