#!/usr/bin/env python3
"""Mail handed onward: taken into the queue with its mailboxes, sent to a next hop, kept while it cannot go, reported
when it never will."""
import email
import pathlib
import re
import signal
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

BODY = b"Subject: hi\nFrom: alice@example.test\nTo: out@remote.test\n\nfirst line\n.a dot\n"


class Hop:
    """A server that takes mail, or refuses what it is told to. Its port stays the same while it is down."""

    def __init__(self, lmtp=False):
        self.lmtp, self.tls, self.refuse, self.got = lmtp, None, {}, []
        self.lock = threading.Lock()
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        self.port = probe.getsockname()[1]
        probe.close()
        self.sock = None

    def up(self):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", self.port))
        self.sock.listen(64)
        threading.Thread(target=self.accept, args=(self.sock,), daemon=True).start()
        return self

    def down(self):
        if self.sock:
            self.sock.shutdown(socket.SHUT_RDWR)
            self.sock.close()
            self.sock = None

    def accept(self, sock):
        while True:
            try:
                c, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with contextlib.suppress(OSError, ssl.SSLError):
            self.talk(c)
        with contextlib.suppress(OSError):
            c.close()

    def talk(self, c):
        f = c.makefile("rb")
        say = lambda s: c.sendall(s.encode() + b"\r\n")
        sender, rcpts, in_tls = None, [], False
        say("220 hop.test ready")
        while True:
            line = f.readline()
            if not line:
                return
            verb = line.split(b" ")[0].strip().upper().decode()
            if verb in ("EHLO", "LHLO"):
                offers = ["hop.test", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 1000000"]
                if self.tls and not in_tls:
                    offers.append("STARTTLS")
                for i, o in enumerate(offers):
                    say(f"250{'-' if i + 1 < len(offers) else ' '}{o}")
            elif verb == "STARTTLS":
                say("220 go")
                c = self.tls.wrap_socket(c, server_side=True)
                f, in_tls = c.makefile("rb"), True
            elif verb == "MAIL":
                sender, rcpts = re.search(rb"<(.*?)>", line).group(1).decode(), []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                rcpt = re.search(rb"<(.*?)>", line).group(1).decode()
                if rcpt in self.refuse:
                    say(self.refuse[rcpt])
                else:
                    rcpts.append(rcpt)
                    say("250 2.1.5 ok")
            elif verb == "DATA" and not rcpts:
                say("554 5.5.1 nobody")
            elif verb == "DATA":
                say("354 go")
                body = b""
                while True:
                    line = f.readline()
                    if not line:
                        return
                    if line == b".\r\n":
                        break
                    body += line[1:] if line.startswith(b".") else line
                with self.lock:
                    self.got.append((sender, list(rcpts), body, in_tls))
                for _ in rcpts if self.lmtp else [0]:
                    say("250 2.0.0 taken")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")

    def messages(self):
        with self.lock:
            return list(self.got)


def daemon(hop, more="", options=None, **kw):
    kw.setdefault("listeners", {"mx": {"tls": "starttls"},
                                "inside": {"tls": "off", "relay-from": '{"127.0.0.1"}'}})
    return Daemon(extra=f'''
delivery "hop" {{ type = {"lmtp" if hop.lmtp else "smtp"} address = "127.0.0.1:{hop.port}" {more} }}
delivery "out" {{ type = smtp address = "127.0.0.1:{hop.port}" {more} }}
relay {{ delivery = "out" }}
domain "away.test" {{ mailboxes = {{"carol"}} deliver = "hop" }}
queue {{ first-retry = 1s longest-retry = 2s }}
''', options=options, **kw)


class Relay(DaemonTest):
    def setUp(self):
        self.hop = Hop()

    def tearDown(self):
        self.hop.down()
        self.d.stop()
        reports = self.d.reports()
        self.d.remove()
        self.assertFalse(reports)

    def send(self, to, listener="inside", sender="alice@example.test", code=250):
        with self.d.client(listener) as c:
            c.hello()
            got = c.deliver(BODY, to=to, sender=sender)
            self.assertEqual(got.code, code, got)
            c.expect("QUIT", 221)

    def queue(self):
        return [p for p in (self.d.state / "queue").iterdir() if not p.name.startswith(".")]

    def test_local_and_remote_recipients_of_one_message(self):
        self.hop.up()
        self.d = daemon(self.hop)
        self.send(["bob@example.test", "out@remote.test", "carol@away.test"])
        got = wait_until(lambda: len(self.hop.messages()) == 2 and self.hop.messages())
        self.assertEqual(sorted(r for m in got for r in m[1]), ["carol@away.test", "out@remote.test"])
        for sender, _, body, _ in got:
            self.assertEqual(sender, "alice@example.test")
            self.assertTrue(body.startswith(b"Received: from client.example.test"), body)
            self.assertIn(b"\r\n\r\nfirst line\r\n.a dot\r\n", body)
            self.assertIn(b"\r\nMessage-ID: <", body)  # it came without one
            self.assertIn(b"\r\nDate: ", body)
        (mail,) = self.d.messages("bob")
        self.assertTrue(mail.read_bytes().startswith(b"Return-Path: <alice@example.test>\nReceived:"))
        wait_until(lambda: not self.queue())
        self.assertEqual(len(self.d.events("queue.relayed")), 2)

    def test_only_who_may_relay_does(self):
        self.d = daemon(self.hop.up())
        with self.d.client("mx") as c:
            c.hello()
            c.expect("MAIL FROM:<alice@example.test>", 250)
            self.assertIn("550 5.7.1", c.ask("RCPT TO:<out@remote.test>"))
            c.expect("RCPT TO:<carol@away.test>", 250)
            self.assertIn("550 5.1.1", c.ask("RCPT TO:<dora@away.test>"))

    def test_waits_while_the_next_hop_is_down(self):
        self.d = daemon(self.hop)
        self.send(["out@remote.test"])
        self.d.wait_event("queue.deferred")
        (path,) = self.queue()
        text = path.read_bytes()
        self.assertIn(b"rcpt: <out@remote.test> route=out", text)
        self.assertIn(b"deferred 4", text)
        self.hop.up()
        wait_until(self.hop.messages)
        wait_until(lambda: not self.queue())
        self.assertEqual(len(self.hop.messages()), 1)

    def test_a_refusal_comes_back_as_a_report(self):
        self.hop.refuse["out@remote.test"] = "550 5.1.1 nobody of that name"
        self.d = daemon(self.hop.up())
        self.send(["out@remote.test", "fine@remote.test"])
        path = wait_until(self.d.messages)[0]
        report = email.message_from_bytes(path.read_bytes())
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report.get_param("report-type"), "delivery-status")
        status = report.get_payload(1).get_payload()
        self.assertEqual(status[1]["Action"], "failed")
        self.assertEqual(status[1]["Status"], "5.1.1")
        self.assertIn("nobody of that name", status[1]["Diagnostic-Code"])
        self.assertEqual(self.hop.messages()[0][1], ["fine@remote.test"])
        wait_until(lambda: not self.queue())

    def test_required_tls_that_is_not_offered(self):
        self.hop.up()
        self.d = daemon(self.hop, more="tls = required")
        self.send(["out@remote.test"])
        event = self.d.wait_event("queue.deferred")[0]
        self.assertIn("4.7.6", event)
        self.assertIn("STARTTLS", event)
        self.assertEqual(len(self.queue()), 1)
        self.hop.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.hop.tls.load_cert_chain(self.d.chain, self.d.key)
        got = wait_until(self.hop.messages)
        self.assertTrue(got[0][3])

    def test_verified_tls(self):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.d = daemon(self.hop, more="tls = verify tls-name = other.example.test", start=False)
        tls.load_cert_chain(self.d.chain, self.d.key)
        self.hop.tls = tls
        self.hop.up()
        self.d.start()
        self.send(["out@remote.test"])
        self.assertIn("other.example.test", self.d.wait_event("queue.deferred")[0])
        self.d.extra = self.d.extra.replace("other.example.test", "mx.example.test")
        self.d.write()
        self.assertEqual(self.d.command("reload").returncode, 0)
        got = wait_until(self.hop.messages)
        self.assertTrue(got[0][3])

    def test_lmtp(self):
        self.hop = Hop(lmtp=True).up()
        self.d = daemon(self.hop)
        self.send(["carol@away.test"], listener="mx", sender="who@elsewhere.test")
        got = wait_until(self.hop.messages)
        self.assertEqual(got[0][1], ["carol@away.test"])
        self.d.wait_event("queue.delivered")

    def test_a_reload_sends_nothing_twice(self):
        self.hop.up()
        self.d = daemon(self.hop)
        for i in range(40):
            self.send([f"r{i}@remote.test"])
            if i % 10 == 5:
                self.assertEqual(self.d.command("reload").returncode, 0)
        wait_until(lambda: not self.queue())
        self.assertEqual(sorted(m[1][0] for m in self.hop.messages()), sorted(f"r{i}@remote.test" for i in range(40)))

    def test_a_dead_relay_is_replaced(self):
        self.d = daemon(self.hop)
        for i in range(3):
            (pid,) = self.d.pids("relay")
            self.d.kill(pid)
            wait_until(lambda: self.d.pids("relay") not in ([], [pid]))
        self.hop.up()
        self.send(["out@remote.test"])
        wait_until(self.hop.messages)
        self.assertEqual(self.d.command("status").returncode, 0)


if __name__ == "__main__":
    main()
