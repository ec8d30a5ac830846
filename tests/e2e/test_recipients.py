#!/usr/bin/env python3
"""Whose mail is this: mailboxes, aliases, subaddresses, catch-all, postmaster, domains."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

DOMAINS = '''
domain "example.test" { mailboxes = {"alice", "bob"} aliases = {"postmaster=alice", "all=alice,bob", "chain=all"} deliver = "local" }
domain "catch.example.test" { mailboxes = {"carol"} catch-all = "carol" deliver = "local" }
domain "bücher.example.test" { mailbox-file = "%s" deliver = "local" }
'''


class Recipients(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(start=False)
        cls.file = cls.d.dir / "mailboxes"
        cls.file.write_text("# comment\ndora\n\nemil\n")
        cls.d.domain = DOMAINS % cls.file
        cls.d.write()
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        reports = cls.d.reports()
        cls.d.remove()
        assert not reports, reports

    def rcpt(self, address, params=""):
        with self.d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net>" + params, 250)
            return c.ask(f"RCPT TO:<{address}>")

    def test_verdicts(self):
        for address, code in (("alice@example.test", 250), ("ALICE@EXAMPLE.TEST", 250), ("alice+tag@example.test", 250),
                              ("nobody@example.test", 550), ("alice@elsewhere.test", 550), ("postmaster@example.test", 250),
                              ("postmaster@catch.example.test", 250), ("whoever@catch.example.test", 250),
                              ('"alice"@example.test', 250), ('"../../etc"@catch.example.test', 250), ("../../etc@catch.example.test", 501),
                              ("dora@xn--bcher-kva.example.test", 250), ("DORA@XN--BCHER-KVA.example.test", 250),
                              ("nobody@xn--bcher-kva.example.test", 550), ("postmaster", 250), ("Postmaster", 250),
                              ("alice", 550)):
            with self.subTest(address):
                got = self.rcpt(address)
                if address == "alice":
                    self.assertGreaterEqual(got.code, 500, got)
                else:
                    self.assertEqual(got.code, code, got)

    def test_relaying_and_unknown_differ(self):
        self.assertIn("5.7.1", self.rcpt("alice@elsewhere.test"))
        self.assertIn("5.1.1", self.rcpt("nobody@example.test"))

    def test_utf8_domain(self):
        with self.d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net> SMTPUTF8", 250)
            self.assertEqual(c.ask("RCPT TO:<dora@bücher.example.test>".encode()).code, 250)

    def test_alias_expands_once(self):
        a, b = len(self.d.messages("alice")), len(self.d.messages("bob"))
        with self.d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: x\n\n", to=["chain@example.test", "all@example.test", "bob@example.test"]).code, 250)
        self.assertEqual((len(self.d.messages("alice")), len(self.d.messages("bob"))), (a + 1, b + 1))

    def test_list_file_is_read_again(self):
        self.file.write_text("dora\nemil\nfritz\n")
        self.assertEqual(self.rcpt("fritz@xn--bcher-kva.example.test").code, 550)
        self.assertEqual(self.d.reload().returncode, 0)
        self.assertEqual(self.rcpt("fritz@xn--bcher-kva.example.test").code, 250)

    def test_unreadable_list_is_temporary(self):
        d = self.prepared()
        d.domain = 'domain "example.test" { mailbox-file = "/nonexistent/list" deliver = "local" }'
        d.write()
        d.start()
        with d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("RCPT TO:<alice@example.test>", 451)


class Loops(DaemonTest):
    def test_loops_are_refused_at_load(self):
        d = self.prepared()
        d.domain = 'domain "example.test" { mailboxes = {"alice"} aliases = {"a=b", "b=c", "c=a"} deliver = "local" }'
        d.write()
        done = d.command("check")
        self.assertEqual(done.returncode, 2)
        self.assertIn("loop", done.out + done.err)


if __name__ == "__main__":
    main()
