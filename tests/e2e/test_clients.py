#!/usr/bin/env python3
"""Real clients: openssl s_client, swaks, curl, smtplib, and Postfix as a relay that insists on TLS."""
import email.message
import pathlib
import shutil
import smtplib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import private_postfix  # noqa: E402
from postern import *  # noqa: E402,F403


def need(program):
    return unittest.skipUnless(shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin"), f"{program} is not installed")


class Clients(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        reports = cls.d.reports()
        cls.d.remove()
        assert not reports, reports

    def test_s_client(self):
        done = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.d.port('mx')}", "-starttls", "smtp", "-CAfile", self.d.ca.pem,
                   "-verify_return_error", "-verify_hostname", "mx.example.test", "-quiet", "-crlf",
                   input=b"EHLO x.example.net\nQUIT\n")
        self.assertIn("250", done.out)
        self.assertNotIn("250-STARTTLS", done.out)
        self.assertIn("verify return:1", done.err)

    @need("swaks")
    def test_swaks(self):
        body = "line one\n.dot\nlast"
        for extra, listener in (([], "mx"), (["--tls"], "mx"), (["--tls-on-connect"], "implicit")):
            before = set(self.d.messages())
            done = run("swaks", "--server", "127.0.0.1", "--port", self.d.port(listener), "--to", "alice@example.test", "--from",
                       "s@example.net", "--helo", "swaks.example.net", "--body", body, *extra)
            self.assertIn("250", done.out)
            new = set(self.d.messages()) - before
            self.assertEqual(len(new), 1)
            self.assertIn(body.encode(), new.pop().read_bytes())

    @need("curl")
    def test_curl(self):
        message = b"Subject: curl\r\n\r\n..two dots\r\n.one\r\n"
        f = self.d.dir / "curl.eml"
        f.write_bytes(message)
        for url, extra in ((f"smtp://mx.example.test:{self.d.port('mx')}", ["--ssl-reqd"]),
                           (f"smtps://mx.example.test:{self.d.port('implicit')}", [])):
            run("curl", "-sS", "--cacert", self.d.ca.pem, "--resolve", url.split("//")[1] + ":127.0.0.1", url, *extra,
                "--mail-from", "c@example.net", "--mail-rcpt", "bob@example.test", "--upload-file", f)
            self.assertEqual(below_ours(self.d.messages("bob")[-1].read_bytes()), message.replace(b"\r\n", b"\n"))

    def test_smtplib(self):
        m = email.message.EmailMessage()
        m["Subject"], m["From"], m["To"] = "smtplib", "p@example.net", "alice@example.test"
        m.set_content("hello\n.\n..\nend\n")
        with smtplib.SMTP("127.0.0.1", self.d.port("mx"), timeout=PATIENCE) as s:
            s.starttls(context=trusting())
            self.assertEqual(s.send_message(m), {})
        with smtplib.SMTP_SSL("127.0.0.1", self.d.port("implicit"), context=trusting(), timeout=PATIENCE) as s:
            self.assertEqual(s.send_message(m), {})
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                s.sendmail("p@example.net", ["nobody@example.test"], "x")


@unittest.skipIf(private_postfix.why_not(), private_postfix.why_not())
class Postfix(DaemonTest):
    def postfix(self, d, level):
        p = private_postfix.PrivatePostfix(d.dir / f"postfix-{level}", {
            "relayhost": f"[127.0.0.1]:{d.port('mx')}", "smtp_tls_security_level": level, "smtp_tls_CAfile": d.ca.pem,
            "smtp_tls_verify_cert_match": "mx.example.test", "smtp_tls_loglevel": "1", "smtp_host_lookup": "native",
            "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "2s"})
        self.addCleanup(p.stop)
        return p.start()

    def relay(self, level):
        d = self.daemon()
        p = self.postfix(d, level)
        p.send(b"Subject: by postfix\n\n.dot\nbody\n", "alice@example.test")
        wait_until(lambda: d.messages() or ("status=bounced" in p.log() and self.fail(p.log())), 60)
        wait_until(lambda: "status=sent" in p.log())
        self.assertRegex(p.log(), ("Verified" if level == "verify" else "(Verified|Trusted|Untrusted)") + " TLS connection established")
        self.assertTrue(d.bodies()[0].endswith(b"\n\n.dot\nbody\n"))

    def test_encrypt(self):
        self.relay("encrypt")

    def test_verify(self):
        self.relay("verify")

    def test_waits_for_starttls(self):
        """The incident: TLS is required at the sender and not offered here. Nothing is lost, and it goes when mended."""
        d = self.prepared()
        good = d.chain.read_bytes()
        d.chain.unlink()
        d.start()
        p = self.postfix(d, "encrypt")
        p.send(b"Subject: waits\n\nbody\n", "alice@example.test")
        wait_until(lambda: "status=deferred" in p.log(), 60)
        self.assertIn("TLS is required, but was not offered", p.log())
        d.wait_event("tls.not-configured", "remoteIp=127.0.0.1")
        done = run(*d.argv("explain", "TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]"))
        self.assertIn("postern why", done.out)
        d.chain.write_bytes(good)
        wait_until(d.messages, 90)


if __name__ == "__main__":
    main()
