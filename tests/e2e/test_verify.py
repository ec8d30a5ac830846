#!/usr/bin/env python3
"""verify-recipients: the next hop is asked who exists, before anybody's mail is taken for it."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from hop import Hop, hop_daemon  # noqa: E402


class Verify(DaemonTest):
    def setUp(self):
        self.hop = Hop()
        self.d = hop_daemon(self.hop)

    def tearDown(self):
        self.hop.down()
        self.d.stop()
        reports = self.d.reports()
        self.d.remove()
        self.assertFalse(reports)

    def rcpt(self, *to):
        with self.d.client("mx") as c:
            c.hello()
            c.expect("MAIL FROM:<sender@far.test>", 250)
            return [c.ask(f"RCPT TO:<{t}>") for t in to]

    def test_a_yes_a_no_and_both_are_remembered(self):
        self.hop.up()
        self.hop.refuse["nobody@ask.test"] = "550 5.1.1 who is that"
        yes, no = self.rcpt("carol@ask.test", "nobody@ask.test")
        self.assertIn("250 2.1.5", yes)
        self.assertIn("550 5.1.1 no such mailbox, says the server", no)
        (line,) = self.d.wait_event("smtp.mailbox-does-not-exist")
        self.assertIn("who is that", line)
        self.rcpt("carol@ask.test", "nobody@ask.test", "Nobody@ASK.test")
        self.assertEqual(sorted(self.hop.asked).count("nobody@ask.test"), 1)
        self.assertEqual(self.hop.asked.count("carol@ask.test"), 1)

    def test_mail_goes_to_whom_the_next_hop_takes(self):
        self.hop.up()
        self.hop.refuse["nobody@ask.test"] = "550 5.1.1 who is that"
        with self.d.client("mx") as c:
            c.hello()
            # pipelined, with a mailbox here and one that is refused
            c.send(b"MAIL FROM:<s@far.test>\r\nRCPT TO:<nobody@ask.test>\r\nRCPT TO:<bob@example.test>\r\n"
                   b"RCPT TO:<\"o c\"@ask.test>\r\nRCPT TO:<carol@ask.test>\r\nDATA\r\n")
            self.assertEqual([c.reply().code for _ in range(6)], [250, 550, 250, 250, 250, 354])
            c.send(b"Subject: x\r\n\r\nbody\r\n.\r\n")
            self.assertEqual(c.reply().code, 250)
        (got,) = wait_until(self.hop.messages)
        self.assertEqual(sorted(got[1]), ["\"o c\"@ask.test", "carol@ask.test"])
        self.assertEqual(len(self.d.messages("bob")), 1)

    def test_450_while_it_cannot_be_asked(self):
        (got,) = self.rcpt("carol@ask.test")
        self.assertIn("450 4.4.3 the server that has the mailboxes cannot be asked", got)
        (line,) = self.d.wait_event("smtp.rcpt-unverified")
        self.assertIn("refused", line)

    def test_450_for_what_is_only_for_now(self):
        self.hop.up()
        self.hop.refuse["carol@ask.test"] = "451 4.7.1 greylisted"
        (got,) = self.rcpt("carol@ask.test")
        self.assertIn("450 4.4.3", got)
        del self.hop.refuse["carol@ask.test"]
        self.assertIn("250", self.rcpt("carol@ask.test")[0])

    def test_a_relay_that_dies_is_asked_again(self):
        self.hop.up()
        self.assertIn("250", self.rcpt("carol@ask.test")[0])
        self.d.kill(self.d.pids("relay")[0])
        wait_until(lambda: "250" in self.rcpt("dave@ask.test")[0])
        wait_until(lambda: self.d.events("process.died"))

    def test_a_client_that_leaves_meanwhile(self):
        self.hop.up()
        for _ in range(20):
            c = self.d.client("mx")
            c.hello()
            c.send(b"MAIL FROM:<s@far.test>\r\nRCPT TO:<carol@ask.test>\r\nRCPT TO:<dave@ask.test>\r\n")
            c.close()
        self.assertIn("250", self.rcpt("carol@ask.test")[0])

    def test_sessions_of_an_old_generation_ask_as_well(self):
        self.hop.up()
        with self.d.client("mx") as c:
            c.hello()
            c.expect("MAIL FROM:<sender@far.test>", 250)
            self.d.reload()
            self.assertIn("250", c.ask("RCPT TO:<carol@ask.test>"))


if __name__ == "__main__":
    main()
