#!/usr/bin/env python3
"""The truth about STARTTLS, row by row, on the running daemon: spoil, look, mend."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

ONE = {"mx": {"tls": "starttls"}}


def put(path, data):
    tmp = path.with_name(path.name + ".new")
    tmp.write_bytes(data)
    os.chmod(tmp, 0o600)
    os.rename(tmp, path)


# Each way to spoil a certificate, and the reason that everybody must then name.
def gone_chain(d):
    d.chain.unlink()


def gone_key(d):
    d.key.unlink()


def truncated(d):
    put(d.chain, d.chain.read_bytes()[:200])


def empty(d):
    put(d.chain, b"")


def garbage(d):
    put(d.key, b"\x00\xff garbage \n" * 40)


def another_key(d):
    d.ca.issue(d.dir / "other.pem", d.dir / "other-key.pem")
    put(d.key, (d.dir / "other-key.pem").read_bytes())
    # older than the debounce: it is broken, not unfinished
    past = d.key.stat().st_mtime - 3600
    os.utime(d.key, (past, past))
    os.utime(d.chain, (past, past))


def encrypted(d):
    d.ca.issue(d.chain, d.key, passphrase="secret")


def client_only(d):
    d.ca.issue(d.chain, d.key, eku="clientAuth")


def weak(d):
    d.ca.issue(d.chain, d.key, kind="rsa1024")


def weakly_signed(d):
    d.ca.issue(d.chain, d.key, digest="sha1")


def odd_curve(d):
    """Nothing is wrong with it but that no client of TLS can use it."""
    d.ca.issue(d.chain, d.key, kind="secp256k1")


def expired(d):
    d.ca.issue(d.chain, d.key, start=-30, end=-1)


def not_yet(d):
    d.ca.issue(d.chain, d.key, start=1, end=30)


SPOILED = [(gone_chain, "unreadable"), (gone_key, "unreadable"), (truncated, "unparsable"), (empty, "unparsable"),
           (garbage, "unparsable"), (another_key, "key-mismatch"), (encrypted, "key-encrypted"),
           (client_only, "not-for-servers"), (weak, "too-weak"),
           (weakly_signed, "too-weak"), (odd_curve, "handshake-failed")]


class Offered(DaemonTest):
    def test_before_and_not_after(self):
        d = self.daemon()
        with d.client() as c:
            self.assertIn("STARTTLS", c.hello())
            c.starttls(verifying(d.ca.pem))
            self.assertNotIn("STARTTLS", c.expect("EHLO again.example.test", 250))
            c.expect("STARTTLS", 503)
        self.assertTrue(d.why("mx")["offered"])
        self.assertEqual(d.why("mx")["reason"], "ok")
        self.assertEqual(d.command("why", "mx").returncode, 0)

    def test_everything_known_is_forgotten(self):
        d = self.daemon()
        with d.client() as c:
            c.hello()
            c.starttls()
            c.expect("MAIL FROM:<a@example.net>", 503)

    def test_argument_and_transaction(self):
        d = self.daemon()
        with d.client() as c:
            c.hello()
            c.expect("STARTTLS now", 501)
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("STARTTLS", 503)
            c.expect("RSET", 250)
            c.starttls()

    def test_implicit_has_none_and_that_is_correct(self):
        d = self.daemon()
        with d.client("implicit", tls=verifying(d.ca.pem)) as c:
            self.assertNotIn("STARTTLS", c.hello())
            c.expect("STARTTLS", 503)
        report = d.why("implicit")
        self.assertEqual((report["offered"], report["reason"]), (False, "implicit-tls"))
        self.assertEqual(d.command("why", "implicit").returncode, 0)
        self.assertIn("correct", d.command("why", "implicit").out)

    def test_off_names_file_and_line(self):
        d = self.daemon()
        with d.client("plain") as c:
            self.assertNotIn("STARTTLS", c.hello())
            c.expect("STARTTLS", 502)
        report = d.why("plain")
        self.assertEqual(report["reason"], "off-by-config")
        line = next(i for i, l in enumerate(d.conf.read_text().splitlines(), 1) if 'listener "plain"' in l)
        done = d.command("why", "plain")
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"{d.conf}", done.out)
        self.assertRegex(done.out, rf"\b(line {line}|{d.conf.name}:{line})\b")
        self.assertTrue(d.events("tls.disabled"))

    def test_withheld_from_a_network(self):
        d = self.daemon(listeners={"mx": {"tls": "starttls", "no-starttls-for": '{"127.0.0.0/8"}'}})
        with d.client() as c:
            self.assertNotIn("STARTTLS", c.hello())
            c.expect("STARTTLS", 502)
        d.wait_event("smtp.start-tls-withheld")
        self.assertEqual(d.why("mx")["reason"], "ok")


class Spoiled(DaemonTest):
    def spoil_and_mend(self, how, reason):
        d = self.daemon(listeners=ONE)
        good = d.chain.read_bytes(), d.key.read_bytes()
        with d.client() as held:
            held.hello()
            how(d)
            # running: the last good one serves on, and the file is reported
            rejected = wait_until(lambda: d.why("mx")["rejected"])
            self.assertEqual([r["reason"] for r in rejected], [reason])
            self.assertTrue(rejected[0]["hint"])
            self.assertTrue(d.why("mx")["offered"])
            self.assertEqual(d.command("why").returncode, 1)
            check = d.command("check")
            self.assertEqual(check.returncode, 2, check.out + check.err)
            self.assertIn(reason, check.out)
            self.assertEqual(len(d.events("tls.certificate-rejected")), 1)
            with d.client() as c:
                c.hello()
                c.starttls(verifying(d.ca.pem))
                c.expect("EHLO x.example.test", 250)
            held.expect("NOOP", 250)
        # restarted on the spoiled files: the listener is up, nothing is offered, everybody says why
        d.stop()
        d.start()
        with d.client() as c:
            self.assertNotIn("STARTTLS", c.hello())
            c.expect("STARTTLS", 454)
            report = d.why("mx")
            self.assertEqual((report["offered"], report["reason"]), (False, reason))
            self.assertTrue(report["hint"])
            self.assertEqual(d.command("why").returncode, 2)
            self.assertEqual(d.command("check").returncode, 2)
            d.wait_event("tls.not-configured", f"reason={reason}")
            # mended: back within ten seconds, nobody is thrown out
            put(d.chain, good[0])
            put(d.key, good[1])
            wait_until(d.offers, 10 if not IS_ASAN else 20)
            c.expect("NOOP", 250)
        self.assertEqual(d.command("why").returncode, 0)

    def test_clock(self):
        """An expired or future certificate is offered with a warning, or withheld where that is asked for."""
        for how, reason in ((expired, "expired"), (not_yet, "not-yet-valid")):
            with self.subTest(reason):
                d = self.prepared(listeners={"mx": {"tls": "starttls"},
                                             "strict": {"tls": "starttls", "expired": "withhold"}})
                how(d)
                d.start()
                report = d.why()
                self.assertEqual((report["mx"]["offered"], report["mx"]["reason"]), (True, reason))
                self.assertEqual((report["strict"]["offered"], report["strict"]["reason"]), (False, reason))
                with d.client() as c:
                    c.hello()
                    c.starttls()
                with d.client("strict") as c:
                    self.assertNotIn("STARTTLS", c.hello())
                    c.expect("STARTTLS", 454)

    def test_expired_does_not_replace_a_valid_one(self):
        d = self.daemon(listeners=ONE)
        expired(d)
        rejected = wait_until(lambda: d.why("mx")["rejected"])
        self.assertEqual(rejected[0]["reason"], "expired")
        self.assertEqual(d.why("mx")["reason"], "ok")

    def test_the_clock_goes_on_while_the_daemon_runs(self):
        day, slow = 86400, 3 if IS_ASAN else 1
        d = self.prepared(listeners={"mx": {"tls": "starttls"}, "ends": {"tls": "starttls", "expired": "withhold", "certificate": '{"ends"}'},
                                     "begins": {"tls": "starttls", "expired": "withhold", "certificate": '{"begins"}'}})
        for title, start, end in (("ends", -1, 8 * slow / day), ("begins", 8 * slow / day, 30)):
            d.certificates[title] = (d.dir / f"{title}.pem", d.dir / f"{title}-key.pem")
            d.ca.issue(*d.certificates[title], start=start, end=end)
        d.write()
        d.start()
        self.assertEqual((d.offers("ends"), d.offers("begins")), (True, False))
        wait_until(lambda: not d.offers("ends"))
        wait_until(lambda: d.offers("begins"))
        report = d.why()
        self.assertEqual((report["ends"]["offered"], report["ends"]["reason"]), (False, "expired"))
        self.assertEqual((report["begins"]["offered"], report["begins"]["reason"]), (True, "ok"))
        d.wait_event("tls.certificate-expired")

    def test_a_link_swapped_above_the_files(self):
        """As renewal tools do it: live/ points to another directory from now on."""
        d = self.prepared(listeners=ONE)
        for n in ("one", "two"):
            (d.dir / n).mkdir()
            d.ca.issue(d.dir / n / "cert.pem", d.dir / n / "key.pem")
        live = d.dir / "live"
        live.symlink_to("one")
        d.certificates["mx"] = (live / "cert.pem", live / "key.pem")
        d.write()
        d.start()

        def served():
            with d.client() as c:
                c.hello()
                c.starttls()
                return c.sock.getpeercert(binary_form=True)
        with d.client() as held:
            held.hello()
            before = served()
            (d.dir / "live.new").symlink_to("two")
            os.rename(d.dir / "live.new", live)
            wait_until(lambda: served() != before, 10 if not IS_ASAN else 20)
            held.expect("NOOP", 250)

    @unittest.skipUnless(IS_ROOT, "needs an account to start as")
    def test_unreadable_without_root(self):
        d = self.daemon(listeners=ONE, run_as=user_for_tests())
        os.chmod(d.key, 0)
        rejected = wait_until(lambda: d.why("mx")["rejected"])
        self.assertEqual(rejected[0]["reason"], "unreadable")
        self.assertIn(str(d.key), rejected[0]["details"])
        os.chmod(d.key, 0o600)
        wait_until(lambda: not d.why("mx")["rejected"], 10)


for how, reason in SPOILED:
    setattr(Spoiled, f"test_{how.__name__}", lambda self, how=how, reason=reason: self.spoil_and_mend(how, reason))


class Warned(DaemonTest):
    """Warnings never withdraw the offer."""

    def test_each(self):
        cases = {"self-signed": {"self_signed": True}, "hostname-mismatch": {"name": "other.example.org"},
                 "expiring": {"end": 5}, "key-readable": {}, "rare-key": {"kind": "ed25519"}, "untrusted": {}}
        d = self.prepared(listeners={w: {"tls": "starttls", "certificate": '{"%s"}' % w} for w in cases})
        d.certificates = {}
        stranger = Ca(d.dir / "stranger")
        for w, how in cases.items():
            d.certificates[w] = (d.dir / f"{w}.pem", d.dir / f"{w}-key.pem")
            (stranger if w == "untrusted" else d.ca).issue(*d.certificates[w], **how)
        chain = d.certificates["untrusted"][0]
        put(chain, chain.read_bytes() + stranger.pem.read_bytes())
        os.chmod(d.certificates["key-readable"][1], 0o644)
        d.write()
        d.start()
        report = d.why()
        for w in cases:
            with self.subTest(w):
                self.assertIn(w, [x["warning"] for x in report[w]["warnings"]])
                self.assertTrue(all(x["hint"] for x in report[w]["warnings"]))
                self.assertEqual((report[w]["offered"], report[w]["reason"]), (True, "ok"))
                self.assertTrue(d.offers(w))
                self.assertIn(w, d.command("why", w).out)
        self.assertNotIn("key-readable", [x["warning"] for x in report["untrusted"]["warnings"]])
        self.assertEqual(d.command("check").returncode, 1)
        d.wait_event("tls.certificate-expiring")
        d.wait_event("tls.certificate-warning", "reason=hostname-mismatch")

    def test_rare_key_beside_an_ordinary_one(self):
        """The remedy of the hint ends the warning; a broken certificate is no company."""
        d = self.prepared(listeners={"both": {"tls": "starttls", "certificate": '{"edwards", "rsa"}'}})
        d.certificates = {t: (d.dir / f"{t}.pem", d.dir / f"{t}-key.pem") for t in ("edwards", "rsa")}
        d.ca.issue(*d.certificates["edwards"], kind="ed25519")
        d.ca.issue(*d.certificates["rsa"], kind="rsa")
        d.write()
        d.start()
        self.assertNotIn("rare-key", d.command("why", "--json").out)
        put(d.certificates["rsa"][1], b"broken")
        self.assertIn("rare-key", d.command("check", "--json").out)


class Without(DaemonTest):
    """without-certificate: what no usable certificate looks like from outside."""

    def spoiled(self, choice):
        d = self.prepared(listeners={"mx": {"tls": "starttls", "without-certificate": choice}})
        d.chain.unlink()
        return d

    def test_tempfail(self):
        d = self.spoiled("tempfail").start()
        with d.client() as c:
            self.assertIn("STARTTLS", c.hello())
            c.expect("STARTTLS", 454)
        self.assertEqual((d.why("mx")["offered"], d.why("mx")["advertised"]), (False, True))

    def test_close(self):
        d = self.spoiled("close").start()
        with d.client() as c:
            self.assertEqual(c.reply().code, 421)
            self.assertTrue(c.ended())

    def test_refuse_start(self):
        d = self.spoiled("refuse-start").start(wait=False)
        self.assertNotEqual(d.proc.wait(PATIENCE), 0)
        self.assertIn("unreadable", d.log_text())

    def test_none_configured(self):
        d = self.daemon(cert=False, listeners=ONE)
        self.assertFalse(d.offers())
        self.assertEqual(d.why("mx")["reason"], "no-certificate")
        d.wait_event("tls.not-configured", "reason=no-certificate")

    def test_implicit_opens_by_itself(self):
        d = self.prepared()
        good = d.chain.read_bytes()
        d.chain.unlink()
        d.start()
        self.assertFalse(d.has_port("implicit"))
        self.assertEqual(d.why("implicit")["reason"], "unreadable")
        put(d.chain, good)
        wait_until(lambda: d.has_port("implicit"), 10 if not IS_ASAN else 20)
        with d.client("implicit", tls=verifying(d.ca.pem)) as c:
            c.hello()

    def test_require_tls(self):
        d = self.prepared(listeners={"mx": {"tls": "starttls", "require-tls": "yes"}})
        d.start()
        with d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net>", 530)
            c.expect("VRFY alice", 530)
            c.expect("NOOP", 250)
            c.expect("HELP", 214)
            c.starttls()
            c.hello_again = c.expect("EHLO x.example.test", 250)
            c.expect("MAIL FROM:<a@example.net>", 250)
        d.stop()
        d.chain.unlink()
        d.start()
        with d.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@example.net>", 454)


class Said(DaemonTest):
    """What is said where the sender meets it."""

    def test_not_configured_names_the_client(self):
        d = self.daemon(cert=False, listeners=ONE)
        with d.client() as c:
            c.hello("relay.example.net")
        line = d.wait_event("tls.not-configured", "remoteIp=127.0.0.1")[0]
        self.assertIn("hostname=relay.example.net", line)
        self.assertIn("reason=no-certificate", line)

    def test_left_without_tls(self):
        d = self.daemon(cert=False, listeners=ONE)
        for _ in range(12):
            with d.client() as c:
                c.hello("relay.example.net")
                c.expect("QUIT", 221)
        d.wait_event("smtp.left-without-tls")
        self.assertGreaterEqual(d.status()["counters"]["leftWithoutTls"], 12)

    def test_client_hello_on_a_plain_port(self):
        d = self.daemon()
        with d.client("mx") as c:
            with self.assertRaises((ssl.SSLError, OSError)):
                trusting().wrap_socket(c.sock)
        wait_until(lambda: [l for l in d.log_text().splitlines() if "ClientHello" in l or "client-hello" in l or "plaintext" in l])

    def test_smtp_on_an_implicit_port(self):
        d = self.daemon()
        with d.client("implicit") as c:
            c.send("EHLO x.example.net\r\n")
            with contextlib.suppress(EOFError, ConnectionError):
                while c.sock.recv(100):
                    pass
        d.wait_event("tls.handshake-error", "SMTP")

    def test_untrusting_client_in_plain_words(self):
        d = self.daemon(listeners=ONE)
        with d.client() as c:
            c.hello()
            c.expect("STARTTLS", 220)
            with self.assertRaises(ssl.SSLError):
                ssl.create_default_context().wrap_socket(c.sock, server_hostname="mx.example.test")
        d.wait_event("tls.handshake-error", "trust")


class Names(DaemonTest):
    def test_sni_chooses(self):
        d = self.prepared(listeners=ONE)
        other = d.dir / "other.pem", d.dir / "other-key.pem"
        d.ca.issue(*other, name="other.example.org")
        d.certificates["other"] = other
        d.write()
        d.start()
        for name in ("mx.example.test", "other.example.org"):
            with d.client(name=name) as c:
                c.hello()
                c.starttls(verifying(d.ca.pem))
                names = [v for k, v in c.sock.getpeercert()["subjectAltName"]]
                self.assertEqual(names, [name])

    def test_rsa_and_ecdsa_side_by_side(self):
        d = self.prepared(listeners=ONE)
        rsa = d.dir / "rsa.pem", d.dir / "rsa-key.pem"
        d.ca.issue(*rsa, kind="rsa")
        d.certificates["rsa"] = rsa
        d.write()
        d.start()
        for cipher, want in (("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA")):
            ctx = trusting()
            ctx.maximum_version = ssl.TLSVersion.TLSv1_2
            ctx.set_ciphers(cipher)
            with d.client() as c:
                c.hello()
                c.starttls(ctx)
                self.assertIn(want, c.sock.cipher()[0])

    def test_versions(self):
        d = self.daemon(listeners=ONE)
        for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            ctx = trusting()
            ctx.minimum_version = ctx.maximum_version = v
            with d.client() as c:
                c.hello()
                c.starttls(ctx)
                self.assertFalse(c.sock.session_reused)
        old = run("openssl", "s_client", "-connect", f"127.0.0.1:{d.port('mx')}", "-starttls", "smtp", "-tls1_1", "-cipher",
                  "ALL:@SECLEVEL=0", input=b"QUIT\r\n", check=False)
        self.assertNotEqual(old.returncode, 0)


if __name__ == "__main__":
    main()
