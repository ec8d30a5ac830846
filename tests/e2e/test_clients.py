#!/usr/bin/env python3
"""Real clients: openssl s_client, swaks, curl, smtplib, and Postfix as a relay that insists on TLS."""
import email.message
import pathlib
import pwd
import grp
import shutil
import smtplib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
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


@unittest.skipUnless(IS_ROOT and pathlib.Path("/usr/sbin/postfix").exists(), "needs root and Debian's postfix package")
class Postfix(DaemonTest):
    """A private instance in a directory of its own: nothing of the system's is read, nothing is started as a service."""

    def postfix(self, d, level):
        base = d.dir / f"postfix-{level}"
        etc, queue, data = base / "etc", base / "queue", base / "data"
        for p in (etc, queue, data):
            p.mkdir(parents=True)
        os.chown(data, pwd.getpwnam("postfix").pw_uid, -1)
        (etc / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example.net
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
relayhost = [127.0.0.1]:{d.port("mx")}
smtp_tls_security_level = {level}
smtp_tls_CAfile = {d.ca.pem}
smtp_tls_verify_cert_match = mx.example.test
smtp_tls_loglevel = 1
smtp_host_lookup = native
maillog_file = {base}/maillog
maillog_file_prefixes = {base}
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 2s
""")
        shutil.copy("/usr/share/postfix/master.cf.dist" if pathlib.Path("/usr/share/postfix/master.cf.dist").exists()
                    else "/etc/postfix/master.cf", etc / "master.cf")
        text = (etc / "master.cf").read_text()
        text = re.sub(r"^smtp +inet.*\n(?:^\s+-o.*\n)*", "", text, flags=re.M)  # it only sends
        text = re.sub(r"^((?:[a-z]+) +(?:unix|unix-dgram|fifo) +\S+ +\S+ +)y ", r"\1n ", text, flags=re.M)  # no chroot
        if not re.search(r"^postlog", text, re.M):
            text += "postlog   unix-dgram n  -       n       -       1       postlogd\n"
        (etc / "master.cf").write_text(text)
        run("postfix", "-c", etc, "start", timeout=120)
        self.addCleanup(lambda: run("postfix", "-c", etc, "stop", check=False, timeout=120))
        return base, etc

    def relay(self, level):
        d = self.daemon()
        base, etc = self.postfix(d, level)
        message = b"Subject: by postfix\n\n.dot\nbody\n"
        run("sendmail", "-C", etc, "-f", "s@example.net", "alice@example.test", input=message)
        log = base / "maillog"
        wait_until(lambda: d.messages() or (log.exists() and "status=bounced" in log.read_text() and self.fail(log.read_text())), 60)
        text = log.read_text()
        self.assertIn("status=sent", wait_until(lambda: "status=sent" in log.read_text() and log.read_text()))
        self.assertRegex(text, r"(Verified|Trusted|Untrusted) TLS connection established")
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
        base, etc = self.postfix(d, "encrypt")
        run("sendmail", "-C", etc, "-f", "s@example.net", "alice@example.test", input=b"Subject: waits\n\nbody\n")
        log = base / "maillog"
        wait_until(lambda: log.exists() and "status=deferred" in log.read_text(), 60)
        self.assertIn("TLS is required, but was not offered", log.read_text())
        d.wait_event("tls.not-configured", "remoteIp=127.0.0.1")
        done = run(*d.argv("explain", "TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]"))
        self.assertIn("postern why", done.out)
        d.chain.write_bytes(good)
        wait_until(d.messages, 90)


if __name__ == "__main__":
    main()
