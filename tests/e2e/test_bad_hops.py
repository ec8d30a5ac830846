#!/usr/bin/env python3
"""Next hops that are wrong in every way a sender can see: refused, silent, broken, lying, half dead. One daemon, one
delivery for each; two recipients each, so that a reply that is credited to the wrong one is seen.

A row: its name, what the next hop does (tests/lib/badhop.py), the delivery's tls, what becomes of recipients a and b:
    sent, or deferred or failed with the enhanced code's beginning. Waits of minutes are in tests/dialogs/client, where the
clock is the test's."""
import pathlib
import ssl
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from badhop import CLOSE, GOOD, GOOD_TLS, OFFERS, RST, BadHop, ehlo  # noqa: E402
from postern import *  # noqa: E402,F403

SENT, LATER = "sent", "deferred 4."
BODY = b"Subject: to a bad hop\n\n" + b"a line of it\n.and a dot\n" * 3000
CODES = {"4": LATER, "5": "failed 5."}


def alert(number):
    return b"\x15\x03\x03\x00\x02\x02" + bytes([number])


def rows():
    both = lambda name, script, tls, a, b=None: (name, script, tls, a, b or a)
    # ---- A: connection and greeting
    yield both("conn.refused", dict(listen=False), "may", LATER)
    yield both("conn.rst-on-accept", dict(banner=RST), "may", LATER)
    yield both("conn.fin-on-accept", dict(banner=CLOSE), "may", LATER)
    yield both("banner.drip", dict(banner=[b"22", b"0", b" ", b"x", b"\r", b"\n"]), "none", SENT)
    yield both("banner.421", dict(banner=(b"421 4.3.2 closing\r\n", CLOSE)), "may", LATER)
    yield both("banner.554", dict(banner=b"554 5.3.2 no SMTP here\r\n"), "may", "failed 5.")  # RFC 5321 3.1
    yield both("banner.521", dict(banner=(b"521 no mail\r\n", CLOSE)), "may", "failed 5.")  # RFC 7504
    yield both("banner.multiline", dict(banner=b"220-a\r\n220-b\r\n220 c\r\n"), "none", SENT)
    for kind, text in (("bogus", b"hello\r\n"), ("2200", b"2200 x\r\n"), ("http", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                       ("binary", b"\0\xff\xfe\x16\x03\r\n")):
        yield both(f"banner.garbage-{kind}", dict(banner=(text, CLOSE)), "may", LATER)
    yield both("banner.pix", dict(banner=b"220 ****************\r\n", ehlo=b"500 what\r\n"), "none", SENT)
    # ---- B: EHLO
    yield both("ehlo.500", dict(ehlo=b"500 5.5.1 what\r\n"), "may", SENT)
    yield both("ehlo.502", dict(ehlo=b"502 5.5.1 what\r\n"), "may", SENT)
    yield both("ehlo.500-required", dict(ehlo=b"500 5.5.1 what\r\n"), "required", "deferred 4.7.6")
    for code in (b"421", b"354", b"221"):
        yield both(f"ehlo.{code.decode()}", dict(ehlo=code + b" odd\r\n"), "may", LATER)
    yield both("ehlo.550", dict(ehlo=b"550 5.7.1 go away\r\n", helo=b"550 5.7.1 go away\r\n"), "may", "failed 5.7.1")
    for kind, text in (("middle", ehlo(b"SIZE", b"STARTTLS", b"8BITMIME")), ("lower", ehlo(b"starttls")),
                       ("last", ehlo(b"SIZE", b"STARTTLS")), ("param", ehlo(b"STARTTLS ", b"SIZE"))):
        yield both(f"ehlo.starttls-{kind}", dict(ehlo=text), "required", SENT)
    yield both("ehlo.split", dict(ehlo=[l + b"\n" for l in GOOD_TLS.split(b"\n")[:-1]]), "required", SENT)
    yield both("ehlo.bytes", dict(ehlo=[bytes([x]) for x in GOOD_TLS]), "required", SENT)
    yield both("ehlo.blank-lines", dict(ehlo=b"250-x\r\n\r\n250 y\r\n"), "may", LATER)
    yield both("ehlo.no-code", dict(ehlo=b"250-x\r\nSIZE\r\n250 y\r\n"), "may", LATER)
    yield both("ehlo.code-changes", dict(ehlo=b"250-x\r\n550 y\r\n"), "may", LATER)
    yield both("ehlo.endless", dict(ehlo=b"250-" + b"x" * 70 + b"\r\n250-y\r\n" * 300000), "may", LATER)
    yield both("ehlo.long-line", dict(ehlo=b"250-" + b"x" * 1000000), "may", LATER)
    yield both("ehlo.bare", dict(ehlo=b"250 hello\r\n"), "may", SENT)
    yield both("ehlo.unknown", dict(ehlo=ehlo(b"XYZZY 1 2 3", b"=", b"AUTH=LOGIN", b"8BITMIME")), "may", SENT)
    yield both("ehlo.size-1000", dict(ehlo=ehlo(b"SIZE 1000")), "none", "failed 5.3.4")
    yield both("ehlo.changes-after-tls", dict(ehlo=ehlo(b"STARTTLS", b"SIZE 10", b"CHUNKING"), tls_ehlo=ehlo(b"8BITMIME")),
               "required", SENT)
    # ---- C: STARTTLS
    yield both("starttls.absent-may", dict(ehlo=GOOD), "may", SENT)
    yield both("starttls.absent-required", dict(ehlo=GOOD), "required", "deferred 4.7.6")
    yield both("starttls.absent-verify", dict(ehlo=GOOD), "verify tls-name = bad.test", "deferred 4.7.6")
    yield both("starttls.masked", dict(ehlo=ehlo(b"XXXXXXXA", b"SIZE")), "required", "deferred 4.7.6")
    for code in (b"454", b"500", b"501", b"502", b"503", b"530", b"550"):
        refused = dict(starttls=code + b" not now\r\n", tls="none")
        yield both(f"starttls.refused-{code.decode()}-may", refused, "may", SENT)
        yield both(f"starttls.refused-{code.decode()}-required", refused, "required", LATER)
    for code in (b"354", b"221", b"250"):
        yield both(f"starttls.{code.decode()}-for-220", dict(starttls=code + b" go\r\n", tls="none"), "required", LATER)
    for tls, want in (("may", SENT), ("required", LATER)):
        # the first connection fails; with may the second is in clear
        yield both(f"starttls.220-close-{tls}", dict(starttls=(b"220 go\r\n", CLOSE)), tls, want)
        yield both(f"starttls.drop-before-{tls}", dict(starttls=CLOSE), tls, LATER)
        yield both(f"starttls.220-plaintext-{tls}", dict(tls=b"220 still in clear\r\n"), tls, want)
        yield both(f"tls.garbage-{tls}", dict(tls=b"250 ok\r\n" * 10), tls, want)
        yield both(f"tls.truncate-{tls}", dict(tls=b"\x16\x03\x03\x00\x7a\x02\x00\x00"), tls, want)
        yield both(f"tls.rst-{tls}", dict(tls=RST), tls, want)
        for name, number in (("handshake-failure", 40), ("protocol-version", 70), ("internal-error", 80), ("unrecognized-name", 112)):
            yield both(f"tls.alert-{name}-{tls}", dict(tls=alert(number)), tls, want)
    forged = ehlo(b"AUTH PLAIN", b"SIZE 1", b"XFORGED")
    yield both("starttls.inject-reply", dict(starttls=b"220 go\r\n" + forged), "required", LATER)
    yield both("starttls.inject-reply-may", dict(starttls=b"220 go\r\n" + forged), "may", LATER)
    yield both("starttls.inject-fragment", dict(starttls=b"220 go\r\n250-AUTH X"), "required", LATER)
    yield both("starttls.again", dict(tls_ehlo=GOOD_TLS), "required", SENT)
    yield both("starttls.post-ehlo-421", dict(tls_ehlo=(b"421 4.3.2 busy\r\n", CLOSE)), "required", LATER)
    yield both("starttls.post-ehlo-550", dict(tls_ehlo=b"550 5.7.1 no\r\n", helo=b"550 no\r\n"), "required", LATER)
    yield both("starttls.post-ehlo-close", dict(tls_ehlo=CLOSE), "required", LATER)
    yield both("starttls.required-530", dict(ehlo=GOOD, mail=b"530 5.7.0 Must issue STARTTLS first\r\n"), "may", LATER)
    # ---- I: envelope and replies
    for code in (b"450", b"451", b"452", b"550", b"552", b"553", b"554"):
        want = CODES[code[:1].decode()]
        yield both(f"mail.{code.decode()}", dict(mail=code + b" " + code[:1] + b".1.0 no\r\n"), "none", want)
        yield both(f"dot.{code.decode()}", dict(dot=code + b" " + code[:1] + b".1.0 no\r\n"), "none", want)
    for code, want in ((b"450", LATER), (b"451", LATER), (b"550", "failed 5."), (b"551", "failed 5."), (b"553", "failed 5."),
                       (b"421", LATER)):
        yield (f"rcpt.{code.decode()}", dict(rcpt={"a": code + b" " + code[:1] + b".1.1 no\r\n"}), "none", want,
               LATER if code == b"421" else SENT)
    # too many: the rest goes at once, in a transaction of its own, and is never a failure (RFC 5321 4.5.3.1.10)
    yield both("rcpt.452-too-many", dict(most=1, full=b"452 4.5.3 too many\r\n"), "none", SENT)
    yield both("rcpt.552-too-many", dict(most=1, full=b"552 5.5.3 too many\r\n"), "none", SENT)
    yield both("rcpt.all-550", dict(rcpt=b"550 5.1.1 nobody\r\n"), "none", "failed 5.1.1")
    yield ("rcpt.mixed", dict(rcpt={"a": b"550 5.1.1 nobody\r\n", "b": b"450 4.2.0 later\r\n"}), "none", "failed 5.1.1",
           "deferred 4.2.0")
    yield both("mail.550-close", dict(mail=(b"550 5.7.1 no\r\n", CLOSE)), "none", "failed 5.7.1")
    yield both("reply.enh-mismatch", dict(mail=b"550 4.1.1 odd\r\n"), "none", "failed 5.")
    yield both("reply.no-text", dict(dot=b"451\r\n"), "none", LATER)
    yield both("reply.unknown-2xx", dict(dot=(b"259 odd\r\n",)), "none", SENT + " unseen")
    yield both("reply.unknown-4xx", dict(dot=b"499 odd\r\n"), "none", LATER)
    yield both("reply.unknown-5xx", dict(dot=b"599 odd\r\n"), "none", "failed 5.")
    yield both("reply.control-bytes", dict(dot=b"550 5.1.1 \x1b[2J\x00\x9b red\x7f\r\n"), "none", "failed 5.1.1")
    # ---- J: content
    for code in (b"450", b"550"):
        yield both(f"data.{code.decode()}", dict(data=code + b" no\r\n"), "none", CODES[code[:1].decode()])
    yield both("data.250-for-354", dict(data=b"250 ok\r\n"), "none", LATER)
    yield both("data.close-after-bytes", dict(body_most=10000), "none", LATER)
    yield both("data.rst-after-bytes", dict(body_most=10000, body_end=RST), "none", LATER)
    yield both("data.421-after-bytes", dict(body_most=10000, body_end=(b"421 4.3.2 closing\r\n", CLOSE)), "none", LATER)
    yield both("data.early-550", dict(early=(b"550 5.6.0 no\r\n", CLOSE)), "none", "deferred or failed")
    yield both("dot.drop", dict(dot=CLOSE), "none", LATER)
    yield both("dot.rst", dict(dot=RST), "none", LATER)
    yield both("dot.250-then-rst", dict(dot=(b"250 2.0.0 ok\r\n", RST)), "none", SENT)
    yield both("dot.two-replies", dict(dot=b"250 2.0.0 ok\r\n250 2.0.0 again\r\n"), "none", SENT)
    yield both("dot.354", dict(dot=b"354 more\r\n"), "none", LATER)
    # ---- K: pipelining
    yield both("pipe.all-rcpt-fail-354", dict(rcpt=b"550 5.1.1 no\r\n", data=b"354 go\r\n", dot=b"554 5.5.1 nobody\r\n"), "none",
               "failed 5.1.1")
    yield both("pipe.drop-one", dict(group=(b"250 ok\r\n250 ok\r\n354 go\r\n", CLOSE)), "none", LATER)
    yield both("pipe.drop-one-refused", dict(group=(b"250 ok\r\n550 5.1.1 no\r\n354 go\r\n", CLOSE)), "none", LATER)
    yield both("pipe.extra-one", dict(group=(b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n", CLOSE)), "none", LATER)
    yield both("pipe.split", dict(group=[bytes([x]) for x in b"250 ok\r\n550 5.1.1 a\r\n550 5.1.1 b\r\n554 5.5.1 nobody\r\n"]), "none",
               "failed 5.1.1")
    yield both("session.quit-no-reply", dict(quit=CLOSE), "none", SENT)
    yield both("session.quit-rst", dict(quit=RST), "none", SENT)
    yield both("session.rset-421", dict(rset=(b"421 4.3.2 bye\r\n", CLOSE)), "none", SENT)


ROWS = list(rows())


class BadHops(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(start=False, listeners={"inside": {"tls": "off"}})
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cls.d.chain, cls.d.key)
        cls.hops, extra = {}, "queue { first-retry = 1h longest-retry = 2h }\n"
        for name, script, tls, _, _ in ROWS:
            cls.hops[name] = hop = BadHop(script, context)
            extra += (f'delivery "{name}" {{ type = smtp address = "127.0.0.1:{hop.port}" tls = {tls} }}\n'
                      f'domain "{name}.test" {{ mailboxes = {{"a", "b"}} deliver = "{name}" }}\n')
        cls.d.extra = extra
        cls.d.write()
        cls.d.start()
        with cls.d.client("inside") as c:
            c.hello()
            for name, *_ in ROWS:
                got = c.deliver(BODY, to=[f"a@{name}.test", f"b@{name}.test"], sender="alice@example.test")
                assert got.code == 250, (name, got)
        cls.seen, cls.lines = {}, []

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        for hop in cls.hops.values():
            hop.stop()
        reports = cls.d.reports()
        cls.d.remove()
        assert not reports, reports

    def look(self):
        """What became of each recipient, from the log: once each."""
        for event, word in (("queue.relayed", "sent"), ("queue.delivered", "sent"), ("queue.deferred", "deferred"),
                            ("queue.failed", "failed")):
            for line in self.d.events(event):
                to = re.search(r" to=(\S+)", line).group(1)
                code = re.search(r" enhanced=(\S*)", line).group(1).strip('"')
                self.seen.setdefault(to, set()).add(f"{word} {code}")
        return self.seen

    def fate(self, to):
        wait_until(lambda: to in self.look(), 120)
        return self.seen[to]

    def check(self, name, a, b):
        hop = self.hops[name]
        took = sorted(r for r, _ in hop.accepted)
        for to, want in ((f"a@{name}.test", a), (f"b@{name}.test", b)):
            fate = self.fate(to)
            self.assertEqual(len(fate), 1, (to, fate))
            (got,) = fate
            if want == "deferred or failed":
                self.assertRegex(got, "^(deferred 4|failed 5)")
            elif want == SENT + " unseen":
                self.assertTrue(got.startswith(SENT), (to, got))
            else:
                self.assertTrue(got.startswith(want), (to, got, want))
                self.assertEqual(took.count(to), 1 if want == SENT else 0, (to, got, took))
        for _, body in hop.accepted:  # below our own field, exactly as it came
            self.assertTrue(body.replace(b"\r\n", b"\n").endswith(BODY), name)

    def test_the_daemon_goes_on(self):
        pids = self.d.pids("relay")
        for name, _, _, a, b in ROWS:
            self.fate(f"b@{name}.test")
        self.assertEqual(self.d.pids("relay"), pids)
        self.assertFalse(self.d.events("process.died"))

    def test_never_in_clear_where_tls_is_required(self):
        for name, _, tls, a, b in ROWS:
            if tls.startswith(("required", "verify")):
                self.fate(f"b@{name}.test")
                self.assertEqual(self.hops[name].clear_mails, 0, name)

    def test_no_word_about_tls_is_missing(self):
        """451 4.7.6 somewhere must never again mean that nobody says why."""
        for name in ("starttls.absent-required", "starttls.masked", "starttls.refused-454-required"):
            self.fate(f"a@{name}.test")
            line = [l for l in self.d.events("queue.deferred") if f"a@{name}.test" in l][0]
            self.assertIn("STARTTLS", line)
            if name == "starttls.masked":
                self.assertIn("XXXXXXXA", line)


def one(name, a, b):
    return lambda self: self.check(name, a, b)


for name, _, _, a, b in ROWS:
    setattr(BadHops, "test_" + re.sub(r"\W", "_", name), one(name, a, b))

if __name__ == "__main__":
    main()
