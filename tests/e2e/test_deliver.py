#!/usr/bin/env python3
"""A message that got 250 is in the mailbox, byte for byte below our header fields."""
import os
import pathlib
import stat
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

BODY = b"Subject: hi\nFrom: a@example.net\n\nfirst line\n.dot at the start\n..two dots\n\nlast line\n"


class Deliver(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        reports = cls.d.reports()
        cls.d.remove()
        assert not reports, reports

    def taken(self, body, listener="mx", tls=False, **kw):
        before = set(self.d.messages())
        with self.d.client(listener, tls=trusting() if listener == "implicit" else None) as c:
            c.hello()
            if tls:
                c.starttls()
                c.expect("EHLO client.example.test", 250)
            self.assertEqual(c.deliver(body, **kw).code, 250)
            # accepted means in the mailbox: there is nothing to wait for
            new = set(self.d.messages()) - before
            self.assertEqual(len(new), 1)
            c.expect("QUIT", 221)
        return new.pop()

    def test_plain(self):
        self.assertEqual(below_ours(self.taken(BODY).read_bytes()), BODY)

    def test_starttls(self):
        path = self.taken(BODY, tls=True)
        self.assertEqual(below_ours(path.read_bytes()), BODY)
        head = path.read_bytes().split(b"\n\n")[0]
        self.assertIn(b"with ESMTPS", head)
        self.assertIn(b"TLSv1.3", head)

    def test_implicit(self):
        self.assertEqual(below_ours(self.taken(BODY, "implicit").read_bytes()), BODY)

    def test_large(self):
        body = b"Subject: large\n\n" + b"".join(b"%078d\n" % i for i in range(40000))
        self.assertEqual(below_ours(self.taken(body).read_bytes()), body)

    def test_rights_and_name(self):
        path = self.taken(BODY)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        for d in (path.parent, path.parent.parent, path.parent.parent / "tmp", path.parent.parent / "cur"):
            self.assertEqual(stat.S_IMODE(d.stat().st_mode), 0o700, d)
        self.assertRegex(path.name, r"^\d+\.M\d+P\d+Q\d+\.mx\.example\.test,S=%d$" % path.stat().st_size)
        if IS_ROOT:
            self.assertNotEqual(path.stat().st_uid, 0)

    def test_header_fields(self):
        text = self.taken(BODY, sender="some.body@example.net").read_text()
        self.assertTrue(text.startswith("Return-Path: <some.body@example.net>\n"), text[:200])
        self.assertIn("Received: from client.example.test", text)
        self.assertIn("[127.0.0.1]", text)
        self.assertIn("by mx.example.test", text)
        self.assertIn("for <alice@example.test>", text)

    def test_null_sender(self):
        self.assertTrue(self.taken(BODY, sender="").read_text().startswith("Return-Path: <>\n"))

    def test_two_recipients_one_message_each(self):
        a, b = len(self.d.messages("alice")), len(self.d.messages("bob"))
        with self.d.client() as c:
            c.hello()
            reply = c.deliver(BODY, to=("alice@example.test", "bob@example.test", "ALICE@EXAMPLE.TEST", "alice+tag@example.test"))
            self.assertEqual(reply.code, 250)
        self.assertEqual(len(self.d.messages("alice")), a + 1)
        self.assertEqual(len(self.d.messages("bob")), b + 1)
        self.assertNotIn("for <", self.d.messages("bob")[-1].read_text().split("\n\n")[0])

    def test_bdat(self):
        with self.d.client() as c:
            self.assertIn("CHUNKING", c.hello())
            c.expect("MAIL FROM:<x@example.net> BODY=8BITMIME SIZE=30", 250)
            c.expect("RCPT TO:<bob@example.test>", 250)
            c.send("BDAT 9\r\nSubject: ")
            self.assertEqual(c.reply().code, 250)
            c.send(b"BDAT 12 LAST\r\nx\r\n\r\n.\r\nend\xe9")
            self.assertEqual(c.reply().code, 250, "bytes of BDAT are counted, dots are not special")
        self.assertIn(b"Subject: x\n\n.\nend\xe9", self.d.messages("bob")[-1].read_bytes())

    def test_many_messages_on_one_connection(self):
        before = len(self.d.messages())
        with self.d.client() as c:
            c.hello()
            for i in range(50):
                self.assertEqual(c.deliver(b"Subject: %d\n\n%d\n" % (i, i)).code, 250)
        self.assertEqual(len(self.d.messages()), before + 50)

    def test_pipelined_whole_session(self):
        before = len(self.d.messages())
        with self.d.client() as c:
            c.expect(None, 220)
            one = b"MAIL FROM:<a@example.net>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
            c.send(b"EHLO x.example.net\r\n")
            self.assertEqual(c.reply().code, 250)
            for _ in range(3):
                c.send(one)
                self.assertEqual([c.reply().code for _ in range(3)], [250, 250, 354])
                c.send(stuff(BODY) + b"NOOP\r\n")
                self.assertEqual([c.reply().code for _ in range(2)], [250, 250])
        self.assertEqual(len(self.d.messages()), before + 3)


class Rights(DaemonTest):
    @unittest.skipUnless(IS_ROOT, "only root can start a daemon as somebody else")
    def test_without_root(self):
        d = self.daemon(run_as=user_for_tests())
        with d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(BODY).code, 250)
        self.assertEqual(d.bodies(), [BODY])
        self.assertTrue(d.offers())


if __name__ == "__main__":
    main()
