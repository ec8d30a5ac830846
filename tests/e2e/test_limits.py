#!/usr/bin/env python3
"""Every limit: its reply, and that the session or the others go on as they should."""
import pathlib
import select
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

ONE = {"mx": {"tls": "starttls"}}


class Limits(DaemonTest):
    def with_options(self, **options):
        return self.daemon(listeners=ONE, options={k.replace("_", "-"): str(v) for k, v in options.items()})

    def test_size(self):
        d = self.with_options(max_message_size=100000)
        with d.client() as c:
            self.assertIn("SIZE 100000", c.hello())
            c.expect("MAIL FROM:<a@example.net> SIZE=100001", 552)
            reply = c.deliver(b"Subject: x\n\n" + b"y" * 70 * 2000 + b"\n")
            self.assertEqual(reply.code, 552, reply)
            self.assertEqual(c.deliver(b"Subject: x\n\nsmall\n").code, 250)

    def test_recipients(self):
        d = self.with_options(max_recipients=100)
        with d.client() as c:
            self.assertIn("RCPTMAX=100", c.hello())
            c.expect("MAIL FROM:<a@example.net>", 250)
            for i in range(100):
                c.expect(f"RCPT TO:<alice+{i}@example.test>", 250)
            c.expect("RCPT TO:<bob@example.test>", 452)
            c.expect("DATA", 354)
            c.send("Subject: x\r\n\r\n.\r\n")
            self.assertEqual(c.reply().code, 250)
        self.assertEqual(len(d.messages()), 1)

    def test_a_thousand_recipients(self):
        d = self.prepared(listeners=ONE)
        names = [f"u{i}" for i in range(1000)]
        d.domain = 'domain "example.test" { mailboxes = {%s} deliver = "local" }' % ", ".join(f'"{n}"' for n in names)
        d.write()
        d.start()
        with d.client() as c:
            c.hello()
            c.send("MAIL FROM:<a@example.net>\r\n" + "".join(f"RCPT TO:<{n}@example.test>\r\n" for n in names) + "DATA\r\n")
            codes = [c.reply().code for _ in range(1002)]
            self.assertEqual(codes, [250] * 1001 + [354])
            c.send("Subject: all\r\n\r\n.\r\n")
            self.assertEqual(c.reply().code, 250)
        self.assertEqual(sum(len(d.messages(n)) for n in names), 1000)

    def test_errors(self):
        d = self.with_options(max_errors=5)
        with d.client() as c:
            c.hello()
            got = [c.ask("NONSENSE").code for _ in range(5)]
            self.assertEqual(got, [500] * 5)
            self.assertEqual(c.reply().code, 421)
            self.assertTrue(c.ended())

    def test_messages(self):
        d = self.with_options(max_messages_per_session=2)
        with d.client() as c:
            self.assertIn("MAILMAX=2", c.hello())
            for _ in range(2):
                self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
            c.expect("MAIL FROM:<a@example.net>", 421)

    def test_hops(self):
        d = self.with_options(max_received_hops=100)
        with d.client() as c:
            c.hello()
            reply = c.deliver(b"Received: from a by b; now\n" * 101 + b"Subject: x\n\n")
            self.assertEqual(reply.code, 554)
            self.assertEqual(c.deliver(b"Received: from a by b; now\n" * 50 + b"Subject: x\n\n").code, 250)

    def test_command_timeout(self):
        d = self.with_options(command_timeout=1)
        with d.client() as c:
            c.hello()
            self.assertEqual(c.reply().code, 421)
            self.assertTrue(c.ended())

    def test_data_timeout(self):
        d = self.with_options(data_timeout=1)
        with d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("RCPT TO:<alice@example.test>", 250)
            c.expect("DATA", 354)
            c.send("Subject: x\r\n")
            self.assertEqual(c.reply().code, 421)
        self.assertEqual(d.messages(), [])

    def test_session_time(self):
        d = self.with_options(session_time=2)
        with d.client() as c:
            c.hello()
            with self.assertRaises((EOFError, AssertionError, ConnectionError)):
                end = time.monotonic() + PATIENCE
                while time.monotonic() < end:
                    c.expect("NOOP", 250)
                    wait_until(lambda t=time.monotonic() + 0.1: time.monotonic() > t)

    def test_per_address(self):
        d = self.with_options(max_connections_per_address=3)
        # loopback is exempt: the limit needs another address, which a trusted-networks of its own does not have
        held = [d.client() for _ in range(5)]
        try:
            for c in held:
                c.expect(None, 220)
        finally:
            for c in held:
                c.close()

    def test_all_connections(self):
        d = self.with_options(max_connections=10)
        held = [d.client() for _ in range(10)]
        try:
            for c in held:
                c.expect(None, 220)
            with d.client() as c:
                self.assertEqual(c.reply().code, 421)
                self.assertTrue(c.ended())
        finally:
            for c in held:
                c.close()

        def free():
            with d.client() as c:
                return c.reply().code == 220
        wait_until(free)

    def test_busy_gives_less_time(self):
        d = self.with_options(max_connections=10, busy_timeout=1)
        held = [d.client() for _ in range(9)]
        try:
            for c in held:
                c.expect(None, 220)
            # as many as it takes: with eight of ten left the others have their full time again
            spoken, _, _ = select.select([c.sock for c in held], [], [], PATIENCE)
            self.assertTrue(spoken)
            for c in held:
                if c.sock in spoken:
                    self.assertEqual(c.reply().code, 421)
        finally:
            for c in held:
                c.close()

    def test_floors_hold_outside_the_lab(self):
        d = self.prepared(listeners=ONE, options={"command-timeout": "5"}, lab=False)
        done = d.command("check")
        self.assertEqual(done.returncode, 2)
        self.assertIn("RFC 5321", done.out + done.err)

    def test_trickle(self):
        """A byte a second is not enough to stay."""
        d = self.with_options(min_rate=100, data_timeout=10, command_timeout=10)
        with d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("RCPT TO:<alice@example.test>", 250)
            c.expect("DATA", 354)
            started = time.monotonic()
            with contextlib.suppress(OSError):
                c.sock.settimeout(0.2)
                while time.monotonic() - started < 90:
                    c.send("x")
                    try:
                        got = c.sock.recv(100)
                        break
                    except TimeoutError:
                        continue
            self.assertLess(time.monotonic() - started, 80)


if __name__ == "__main__":
    main()
