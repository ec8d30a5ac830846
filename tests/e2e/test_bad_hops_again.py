#!/usr/bin/env python3
"""Next hops that are wrong where more than one reply decides: certificates, logins, extensions that are offered and broken,
and hops that fail first and take the mail later. One daemon, one delivery for each, as in test_bad_hops.py.

A row: its name, what the next hop does (tests/lib/badhop.py), the delivery's options, what becomes of recipients a and b:
what is said of them in the log, in order. The last word may be the beginning of it."""
import pathlib
import ssl
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from badhop import CLOSE, GOOD, GOOD_TLS, RST, BadHop, ehlo  # noqa: E402
from postern import *  # noqa: E402,F403

SENT, LATER = "sent", "deferred 4."
BODY = b"Subject: to a bad hop\n\n" + b"a line of it\n.and a dot\n" * 3000
EIGHT = b"Subject: eight bits\n\n\xc3\xa9t\xc3\xa9\n"
NONE = "tls = none"
VERIFY = 'tls = verify tls-name = mx.example.test ca-file = "{ca}"'
LOGIN = VERIFY + ' user = "us" password-file = "{password}"'
LOGIN_TLS = ehlo(b"AUTH PLAIN")


def context(chain, key, low=None, high=None, ask=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(chain, key)
    if low:
        c.minimum_version, c.maximum_version = low, high
    if ask:
        c.load_verify_locations(ask)
        c.verify_mode = ssl.CERT_REQUIRED
    return c


def certificates(d):
    """A good one, and the faulty ones: name, context."""
    made = {}
    for name, kw in (("good", {}), ("expired", {"start": -20, "end": -2}), ("not-yet-valid", {"start": 2}),
                     ("wrong-host", {"name": "other.example.test"}), ("self-signed", {"self_signed": True}),
                     ("eku-client", {"eku": "clientAuth"})):
        chain, key = d.dir / f"{name}.pem", d.dir / f"{name}-key.pem"
        d.ca.issue(chain, key, **kw)
        made[name] = context(chain, key)
    chain, key, v = d.dir / "good.pem", d.dir / "good-key.pem", ssl.TLSVersion
    made["only-1.2"] = context(chain, key, v.TLSv1_2, v.TLSv1_2)
    made["only-1.3"] = context(chain, key, v.TLSv1_3, v.TLSv1_3)
    made["client-cert"] = context(chain, key, ask=d.ca.pem)
    return made


def rows(made):
    def row(name, script, options, a, b=None):
        return name, script, options, a, b or a
    # ---- D, E: who is there, judged only where that is asked for
    for kind in ("expired", "not-yet-valid", "wrong-host", "self-signed", "eku-client"):
        for tls, want in (("may", SENT), ("required", SENT), ("verify", "deferred 4.7.5")):
            options = VERIFY if tls == "verify" else f"tls = {tls}"
            yield row(f"cert.{kind}-{tls}", dict(handshake=made[kind]), options, want)
    for kind in ("good", "only-1.2", "only-1.3"):
        yield row(f"tls.{kind}", dict(handshake=made[kind]), VERIFY, SENT)
    yield row("tls.client-cert-required", dict(handshake=made["client-cert"]), VERIFY, LATER)
    yield row("tls.truncate-reply", dict(dot=(b"25", CLOSE)), VERIFY, LATER)
    yield row("tls.truncate-last-byte", dict(dot=(b"25", b"0 2.0.0 ok\r", CLOSE)), VERIFY, LATER)
    # ---- I: logins. Whatever goes wrong there is ours to mend: no message fails for it
    for code in (b"535", b"454", b"504", b"538"):
        yield row(f"auth.{code.decode()}", dict(tls_ehlo=LOGIN_TLS, auth=[code + b" no\r\n"]), LOGIN, LATER)
    yield row("auth.ok", dict(tls_ehlo=LOGIN_TLS), LOGIN, SENT)
    yield row("auth.bad-334", dict(tls_ehlo=LOGIN_TLS, auth=[b"334 !not base64!\r\n", b"501 no\r\n"]), LOGIN, LATER)
    yield row("auth.drop", dict(tls_ehlo=LOGIN_TLS, auth=[CLOSE]), LOGIN, LATER)
    yield row("auth.not-offered", dict(tls_ehlo=GOOD), LOGIN, LATER)
    yield row("auth.only-in-clear", dict(ehlo=ehlo(b"STARTTLS", b"AUTH PLAIN LOGIN")), LOGIN, LATER)
    refused = dict(ehlo=ehlo(b"STARTTLS", b"AUTH PLAIN LOGIN"), starttls=b"454 4.7.0 no\r\n", tls="none")
    yield row("starttls.auth-clear", refused, LOGIN, LATER)
    yield row("auth.wrong-host", dict(handshake=made["wrong-host"], tls_ehlo=LOGIN_TLS), LOGIN, LATER)
    # ---- B, J: extensions
    # what was declared may not be sent so (RFC 6152 3); what was not goes on as it came
    yield row("ehlo.no-8bitmime", dict(ehlo=ehlo(b"SIZE"), body=EIGHT, params=" BODY=8BITMIME"), NONE, "failed 5.6.3")
    yield row("ehlo.no-8bitmime-undeclared", dict(ehlo=ehlo(b"SIZE"), body=EIGHT), NONE, SENT)
    yield row("ehlo.no-smtputf8", dict(ehlo=ehlo(b"8BITMIME"), params=" SMTPUTF8"), NONE, "failed 5.6.7")
    yield row("ehlo.nul", dict(ehlo=b"250-x\0y\r\n250 SIZE\r\n"), NONE, "sent or deferred")
    yield row("ehlo.limits", dict(ehlo=ehlo(b"LIMITS RCPTMAX=1"), most=1, full=b"550 5.5.3 I said one\r\n"), NONE, SENT)
    chunking = ehlo(b"CHUNKING", b"PIPELINING")
    yield row("bdat.good", dict(ehlo=chunking), NONE, SENT)
    yield row("bdat.503", dict(ehlo=chunking, bdat=b"503 5.5.1 no\r\n"), NONE, SENT)
    yield row("bdat.552", dict(ehlo=chunking, bdat=b"552 5.3.4 too big\r\n"), NONE, "failed 5.3.4")
    yield row("bdat.451", dict(ehlo=chunking, bdat=b"451 4.3.0 later\r\n"), NONE, LATER)
    yield row("bdat.close", dict(ehlo=chunking, bdat=CLOSE), NONE, LATER)
    # ---- first so, then well
    later = dict(rcpt=b"451 4.7.1 greylisted\r\n")
    yield row("again.fail-2-then-ok", dict(first_mails=(2, later)), NONE, "deferred deferred sent")
    yield row("again.mixed", dict(first_mails=(1, dict(rcpt={"b": b"450 4.2.0 later\r\n"}))), NONE, SENT, "deferred sent")
    yield row("again.banner-421", dict(first=(1, dict(banner=(b"421 4.3.2 busy\r\n", CLOSE)))), NONE, "deferred sent")
    yield row("again.close-in-body", dict(first=(1, dict(body_most=10000))), NONE, "deferred sent")
    yield row("again.lost-reply", dict(first=(1, dict(lost=CLOSE))), NONE, "deferred sent")
    yield row("again.lost-reply-rst", dict(first=(1, dict(lost=RST))), NONE, "deferred sent")


class BadHopsAgain(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.d = d = Daemon(start=False, listeners={"inside": {"tls": "off"}})
        made = certificates(d)
        password = d.dir / "password"
        password.write_text("a secret of ours\n")
        password.chmod(0o600)
        cls.rows = list(rows(made))
        cls.hops, extra = {}, "queue { first-retry = 1s longest-retry = 1s }\n"
        for name, script, options, _, _ in cls.rows:
            cls.hops[name] = hop = BadHop(script, made["good"])
            options = options.format(ca=d.ca.pem, password=password)
            extra += (f'delivery "{name}" {{ type = smtp address = "127.0.0.1:{hop.port}" {options} }}\n'
                      f'domain "{name}.test" {{ mailboxes = {{"a", "b"}} deliver = "{name}" }}\n')
        d.extra = extra
        d.write()
        d.start()
        with d.client("inside") as c:
            c.hello()
            for name, script, *_ in cls.rows:
                to = [f"a@{name}.test", f"b@{name}.test"]
                got = c.deliver(script.get("body", BODY), to=to, sender="alice@example.test",
                                params=script.get("params", ""))
                assert got.code == 250, (name, got)

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        for hop in cls.hops.values():
            hop.stop()
        reports = cls.d.reports()
        cls.d.remove()
        assert not reports, reports

    def said(self, to):
        """What the log says of a recipient, in order."""
        words = {"queue.relayed": "sent", "queue.delivered": "sent", "queue.deferred": "deferred", "queue.failed": "failed"}
        found = []
        for line in self.d.log_text().splitlines():
            event = re.search(r"event=(\S+) ", line)
            if event and event.group(1) in words and f" to={to} " in line:
                found.append((words[event.group(1)], re.search(r' enhanced="?([^" ]*)', line).group(1)))
        return found

    def fate(self, to, want):
        """Waits for what is wanted: the last of several words, or the first thing that is said."""
        words = want.split()
        if set(words) <= {"sent", "deferred"}:
            wait_until(lambda: len(self.said(to)) >= len(words), 120)
            self.assertEqual([w for w, _ in self.said(to)], words, to)
            return
        wait_until(lambda: self.said(to), 120)
        if want == "sent or deferred":
            self.assertIn(self.said(to)[0][0], ("sent", "deferred"))
            return
        for word, code in self.said(to):  # tried again meanwhile or not: the same each time
            self.assertTrue(f"{word} {code}".startswith(want), (to, want, self.said(to)))

    def check(self, name):
        ((_, script, _, a, b),) = [r for r in self.rows if r[0] == name]
        hop = self.hops[name]
        for to, want in ((f"a@{name}.test", a), (f"b@{name}.test", b)):
            self.fate(to, want)
            took = [body for r, body in list(hop.accepted) if r == to]
            if "lost-reply" in name:  # twice is allowed there (RFC 5321 6.1), not at all is not
                self.assertIn(len(took), (1, 2), to)
            elif want != "sent or deferred":
                self.assertEqual(len(took), 1 if want.endswith("sent") else 0, (to, want))
            for body in took:
                self.assertTrue(body.replace(b"\r\n", b"\n").endswith(script.get("body", BODY)), to)

    def test_no_login_in_clear(self):
        for name, _, options, a, _ in self.rows:
            if options == LOGIN:
                self.fate(f"a@{name}.test", a)
                self.assertEqual((self.hops[name].clear_auths, self.hops[name].clear_mails), (0, 0), name)
        self.assertEqual(self.hops["auth.wrong-host"].auths, 0)
        self.assertEqual(self.hops["auth.ok"].auths, 1)
        self.assertNotIn("a secret of ours", self.d.log_text())


def one(name):
    return lambda self: self.check(name)


for name, *_ in rows({k: None for k in ("good", "expired", "not-yet-valid", "wrong-host", "self-signed", "eku-client",
                                        "only-1.2", "only-1.3", "client-cert")}):
    setattr(BadHopsAgain, "test_" + re.sub(r"\W", "_", name), one(name))

if __name__ == "__main__":
    main()
