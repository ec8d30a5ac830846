#!/usr/bin/env python3
"""postern-bench serves its catalogue: each scenario at its port does what its file says, and the transcript tells it."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from bench_serve import BENCH, BenchTest  # noqa: E402


class Bench(BenchTest):
    def setUp(self):
        super().setUp()
        Ca(self.pki).issue(self.pki / "good-ecdsa.pem", self.pki / "good-ecdsa.key", name="bench.test")

    def serve(self, *words):
        self.start("--pki", self.pki, "--out", self.out, *words)
        listed = run(BENCH, "list", "--json", *words[1:2] if words[:1] == ("--only",) else ()).out.splitlines()
        wanted = sum(json.loads(l)["available"] for l in listed)
        self.ports = dict(self.p.stdout.readline().split() for _ in range(wanted))

    def client(self, name, **kw):
        return Client(int(self.ports[name].rsplit(":", 1)[1]), **kw)

    def test_list_and_show(self):
        names = [l.split()[0] for l in run(BENCH, "list").out.splitlines()]
        self.assertGreater(len(names), 120)
        self.assertEqual(len(names), len(set(names)))
        for line in run(BENCH, "list", "--json").out.splitlines():
            self.assertTrue(json.loads(line)["doc"])
        self.assertIn("correct", run(BENCH, "show", "dot.drop").out)
        self.assertEqual(run(BENCH, "show", "nothing", check=False).returncode, 2)
        self.assertEqual(run(BENCH, "serve", "--what", check=False).returncode, 64)
        done = run(BENCH, "serve", "--pki", self.pki, "--address", "192.0.2.1", check=False)
        self.assertIn("loopback only", done.err)

    def test_a_message_in_tls(self):
        self.serve("--only", "good")
        with self.client("good") as c:
            c.hello()
            c.starttls()
            c.expect("EHLO client.test", 250)
            self.assertEqual(c.deliver(b"Subject: x\n\n.dot\n").code, 250)
            c.expect("AUTH PLAIN c2VjcmV0", 503)  # not offered
            c.expect("QUIT", 221)
        lines = self.lines("good")
        self.assertEqual([l["seq"] for l in lines], list(range(1, len(lines) + 1)))
        self.assertTrue(next(l for l in lines if l["ev"] == "message")["accepted"])
        self.assertEqual(next(l for l in lines if l["ev"] == "tls_done")["version"], "TLSv1.3")
        self.assertNotIn("c2VjcmV0", (self.out / "all.jsonl").read_text())
        text = run(BENCH, "transcript", self.out / f"{lines[0]['sid']}.jsonl").out
        self.assertIn("================ TLS: TLSv1.3", text)
        self.assertLess(text.index("C: STARTTLS"), text.index("======"))

    def test_what_is_injected_comes_with_the_220(self):
        self.serve("--only", "starttls.*")
        with self.client("starttls.inject-reply") as c:
            c.hello()
            c.sock.sendall(b"STARTTLS\r\n")
            got = c.sock.recv(65536)  # one write, one segment
            self.assertTrue(got.startswith(b"220 "), got)
            self.assertIn(b"250-AUTH PLAIN LOGIN\r\n", got)
            c.sock = trusting().wrap_socket(c.sock)  # and TLS works right behind it
            self.assertNotIn("AUTH", c.ask("EHLO client.test"))
        self.assertEqual([l["at"] for l in self.lines("starttls.inject-reply") if l["ev"] == "fault"], ["starttls", "ehlo-tls"])

    def test_a_client_hello_that_is_answered_otherwise(self):
        self.serve("--only", "tls.*")

        def attempt(name, **kw):
            with self.client(name) as c:
                c.hello()
                c.expect("STARTTLS", 220)
                context = trusting()
                for k, v in kw.items():
                    setattr(context, k, v)
                c.sock = context.wrap_socket(c.sock, server_hostname="mx.bench.test")
                c.expect("EHLO client.test", 250)
                return c.sock.version()
        for name, error in (("tls.alert-handshake-failure", "HANDSHAKE_FAILURE"), ("tls.alert-protocol-version", "PROTOCOL_VERSION"),
                            ("tls.alert-internal-error", "INTERNAL_ERROR"), ("tls.garbage", "WRONG_VERSION_NUMBER"), ("tls.close", "EOF")):
            with self.assertRaises((ssl.SSLError, ConnectionError)) as caught:
                attempt(name)
            self.assertIn(error, str(caught.exception).upper().replace(" ", "_"))
        with self.assertRaises(ConnectionResetError):
            attempt("tls.rst")
        self.assertEqual(attempt("tls.only-1.2"), "TLSv1.2")
        self.assertEqual(attempt("tls.only-1.3"), "TLSv1.3")
        self.assertEqual(attempt("tls.client-cert-optional"), "TLSv1.3")
        self.assertEqual(attempt("tls.sni-required"), "TLSv1.3")
        with self.client("tls.sni-required") as c:
            c.hello()
            c.expect("STARTTLS", 220)
            with self.assertRaises(ssl.SSLError):
                trusting().wrap_socket(c.sock)
        (hello,) = [l for l in self.lines("tls.close") if l["ev"] == "client_hello"]
        self.assertEqual(hello["sni"], "mx.bench.test")
        self.assertIn("1.3", hello["versions"])
        self.assertIn("1301", hello["ciphers"])
        with self.client("tls.implicit", tls=trusting()) as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)

    def test_ways_to_end(self):
        self.serve()
        with self.client("conn.fin-on-accept") as c:
            self.assertEqual(c.sock.recv(10), b"")
        with self.client("conn.rst-on-accept") as c, self.assertRaises(ConnectionResetError):
            c.sock.recv(10)
            c.sock.recv(10)
        with self.client("banner.421") as c:
            self.assertEqual(c.reply().code, 421)
            self.assertTrue(c.ended())
        with self.client("dot.drop") as c:
            c.hello()
            with self.assertRaises(EOFError):
                c.deliver(b"Subject: x\n\n")
        with self.client("dot.drop") as c:  # the second time it is taken
            c.hello()
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)

    def test_times(self):
        self.serve()
        for code in (451, 451, 250, 250):
            with self.client("fail-N-then-ok") as c:
                c.hello()
                self.assertEqual(c.deliver(b"Subject: x\n\n").code, code)
        began = time.monotonic()
        with self.client("banner.drip") as c:
            c.hello()
        self.assertGreater(time.monotonic() - began, 0.3)
        with self.client("session.421-idle") as c:
            c.hello()
            self.assertEqual(c.reply().code, 421)
            self.assertTrue(c.ended())

    def test_replies_to_the_letter(self):
        self.serve()
        with self.client("reply.nul") as c:
            c.hello()
            c.expect("MAIL FROM:<a@b.test>", 250)
            c.expect("RCPT TO:<c@d.test>", 250)
            c.expect("DATA", 354)
            c.sock.sendall(b"x\r\n.\r\n")
            self.assertEqual(c.sock.recv(100), b"550 5.1.1 a\0b\r\n")
        with self.client("rcpt.mixed") as c:
            c.hello()
            c.expect("MAIL FROM:<a@b.test>", 250)
            self.assertEqual([c.ask(f"RCPT TO:<{r}@d.test>").code for r in ("ok", "bad-x", "later-x")], [250, 550, 450])

    def test_two_hundred_sessions(self):
        self.serve("--only", "good")
        clients = [self.client("good") for _ in range(200)]
        for c in clients:
            c.hello()
        for c in clients:
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
            c.close()
        self.assertEqual(sum(l["ev"] == "message" for l in self.lines("good", 200)), 200)

    def test_a_users_scenario(self):
        mine = self.dir / "mine.conf"
        mine.write_text('scenario "mine" { doc = "d" step { at = noop reply = {"250-one", "250 two"} } }')
        self.start("--pki", self.pki, "--out", self.out, "--scenario", mine, "--only", "mine")
        self.ports = dict([self.p.stdout.readline().split()])
        with self.client("mine") as c:
            c.hello()
            self.assertEqual(c.ask("NOOP"), "250-one\n250 two")

    def test_ports_that_let_nobody_in(self):
        mine = self.dir / "mine.conf"
        mine.write_text('scenario "refused" { listen = refuse } scenario "blackhole" { listen = blackhole }')
        self.start("--pki", self.pki, "--out", self.out, "--catalogue", self.dir)
        self.ports = dict(self.p.stdout.readline().split() for _ in range(2))
        for _ in range(2):
            with self.assertRaises(ConnectionRefusedError):
                self.client("refused")
            with self.assertRaises(TimeoutError):  # no SYN-ACK, no RST
                socket.create_connection(("127.0.0.1", int(self.ports["blackhole"].rsplit(":", 1)[1])), timeout=0.3)

    def test_the_daemon_has_nothing_of_it(self):
        symbols = run("nm", "--defined-only", POSTERN).out
        self.assertFalse(re.search(r" [TtDdBbRr] (bench_|transcript_)", symbols))


if __name__ == "__main__":
    main()
