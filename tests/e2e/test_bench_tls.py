#!/usr/bin/env python3
"""Sections D and E of the bench's catalogue: what the server of each scenario really does on the wire, in the eyes of two
clients (Python's ssl and openssl s_client), and what the transcript says of it."""
import calendar
import hashlib
import pathlib
import sys
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from bench_serve import BENCH, BenchTest  # noqa: E402

BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", "build"))
ROOT = pathlib.Path(__file__).resolve().parents[2]
SENDER = ROOT / "tests" / "lib" / "bench_sender.py"
HOST = "mx.bench.test"
ALERTS = {"unexpected-message": 10, "bad-record-mac": 20, "record-overflow": 22, "handshake-failure": 40, "bad-certificate": 42,
          "unsupported-certificate": 43, "certificate-revoked": 44, "certificate-expired": 45, "certificate-unknown": 46,
          "illegal-parameter": 47, "unknown-ca": 48, "access-denied": 49, "decode-error": 50, "decrypt-error": 51,
          "protocol-version": 70, "insufficient-security": 71, "internal-error": 80, "inappropriate-fallback": 86,
          "missing-extension": 109, "unsupported-extension": 110, "unrecognized-name": 112,
          "bad-certificate-status-response": 113, "unknown-psk-identity": 115, "certificate-required": 116,
          "no-application-protocol": 120}
CERTS = """good-rsa good-ecdsa good-ed25519 good-wildcard good-1000-sans good-long-chain self-signed untrusted-root wrong-host cn-only
 expired not-yet-valid incomplete-chain reversed-chain revoked sha1 rsa1024 eku-client name-constraint wildcard-too-deep rotates""".split()
# BENCH 2.2 D and E, to the letter
CATALOGUE = {f"tls.alert-{a}" for a in ALERTS} | {f"cert.{c}" for c in CERTS} | {f"tls.{n}" for n in """
 alert-close-notify alert-user-canceled alert-warning garbage close rst hang truncate only-1.0 only-1.1 only-1.2 only-1.3
 sslv3-emulated 13-intolerant big-hello-intolerant anon-only null rsa-kex dh1024 p521-only ecdsa-only ed25519-only sni-required
 sni-selects client-cert-optional client-cert-required no-close-notify truncate-reply half-close no-resume ticket-garbage keyupdate
 renegotiate slow-records ocsp-good ocsp-expired ocsp-revoked ocsp-missing-must-staple implicit implicit-swap-25
 implicit-swap-465""".split()}


def old_client():
    """As old and weak as this OpenSSL can be."""
    c = trusting()
    c.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        c.minimum_version = ssl.TLSVersion.TLSv1
    return c


class Tls(BenchTest):
    implicit = ()

    def serve(self, only, *words, env=None):
        self.start("--catalogue", ROOT / "conf" / "bench", "--pki", self.pki, "--out", self.out,
                   "--only", only, *words, env=env)
        wanted = [l.split()[0] for l in run(BENCH, "list", only).out.splitlines() if "not available" not in l]
        self.ports = {}
        while len(self.ports) < len(wanted):
            name, where = self.p.stdout.readline().split()
            self.ports[name] = int(where.rsplit(":", 1)[1])

    def client(self, name, **kw):
        return Client(self.ports[name], name=HOST, **kw)

    @contextlib.contextmanager
    def in_tls(self, name, context=None, sni=HOST):
        """After STARTTLS and a second EHLO."""
        with self.client(name) as c:
            c.hello()
            c.expect("STARTTLS", 220)
            c.sock = (context or trusting()).wrap_socket(c.sock, server_hostname=sni, suppress_ragged_eofs=False)
            c.expect("EHLO client.example.test", 250)
            yield c

    def shake(self, name, context=None, sni=HOST):
        """The error of a handshake that fails, in words; "" when it does not."""
        try:
            with self.in_tls(name, context, sni) as c:
                return "" if c.sock.version() else "?"
        except (ssl.SSLError, OSError, EOFError) as e:
            return str(e).lower().replace("_", " ")

    def hello_bytes(self, name):
        """What is answered to a ClientHello, to the last octet."""
        with self.client(name) as c:
            c.hello()
            c.expect("STARTTLS", 220)
            room = ssl.MemoryBIO()
            tls = trusting().wrap_bio(ssl.MemoryBIO(), room, server_hostname=HOST)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            c.sock.sendall(room.read())
            got = b""
            while True:
                more = c.sock.recv(65536)
                if not more:
                    return got
                got += more

    def events(self, name, ev, sessions=1):
        return [l for l in self.lines(name, sessions) if l["ev"] == ev]

    def openssl(self, name, *words, ask=b"QUIT\r\n", starttls=True):
        """s_client's words; it says what is in ask when TLS is up."""
        return run("openssl", "s_client", "-connect", f"127.0.0.1:{self.ports[name]}", *(("-starttls", "smtp") if starttls else ()),
                   "-servername", HOST, "-CAfile", self.pki / "ca.pem", "-nocommands", "-ign_eof", *words, input=ask, check=False)

    # ---- the list

    def test_every_name_is_there_and_can_be_played(self):
        lines = [json.loads(l) for l in run(BENCH, "list", "--json").out.splitlines()]
        there = {l["name"]: l for l in lines if l["section"] in ("D", "E")}
        self.assertEqual(set(there), CATALOGUE)
        for name, l in there.items():
            self.assertTrue(l["available"], (name, l.get("reason")))
            self.assertTrue(l["doc"] and l["correct"] and l["source"], name)
            shown = run(BENCH, "show", name).out
            for policy in ("opportunistic", "required", "verified"):
                self.assertRegex(shown, rf"(?m)^  {policy}$", name)

    def test_what_this_openssl_cannot_do(self):
        """Found by trying, with OpenSSL's own reason; nothing that is not available listens."""
        mine = self.dir / "mine.conf"
        mine.write_text('scenario "my-rc4" { doc = "d" tls { max = "1.2" ciphers = "RC4-SHA:@SECLEVEL=0" } }\n'
                        'scenario "my-no-group" { doc = "d" tls { groups = "no-such-group" } }\n'
                        'scenario "my-wrong-kind" { doc = "d" tls { max = "1.2" cert = "good-ecdsa" ciphers = "kRSA:@SECLEVEL=0" } }\n'
                        'scenario "my-fine" { doc = "d" tls { cert = "good-rsa" } }\n')
        found = {l["name"]: l for l in map(json.loads, run(BENCH, "list", "--json", "--scenario", mine).out.splitlines())}
        self.assertIn("no cipher match", found["my-rc4"]["reason"])
        self.assertIn("groups", found["my-no-group"]["reason"])
        self.assertIn("no shared cipher", found["my-wrong-kind"]["reason"])
        self.assertTrue(found["my-fine"]["available"])
        self.assertIn("not available: ", run(BENCH, "show", "my-rc4", "--scenario", mine).out)
        done = run(BENCH, "run", "--scenario", mine, "--only", "my-rc4", "--pki", self.pki, "--out", self.out, "--", "false")
        self.assertRegex(done.out, r"my-rc4 +undecided +(- +)?not available: ciphers: .*no cipher match")
        p = subprocess.Popen([str(BENCH), "serve", "--scenario", mine, "--only", "my-[rf]*", "--pki", self.pki, "--out", self.out],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertTrue(p.stdout.readline().startswith("my-fine "))
        self.assertRegex(p.stdout.readline(), r"^my-rc4 +not available: ciphers: .*no cipher match\n$")
        p.terminate()
        self.assertEqual(p.communicate(timeout=PATIENCE), ("", ""))

    def test_a_policy_of_the_machine(self):
        """An OpenSSL that is told to have no usable algorithm says so of each scenario that needs one, and none is played."""
        conf = self.dir / "openssl.cnf"
        conf.write_text("openssl_conf = init\n[init]\nalg_section = algs\n[algs]\ndefault_properties = fips=yes\n")
        env = dict(os.environ, OPENSSL_CONF=str(conf))
        found = map(json.loads, run(BENCH, "list", "--json", "tls.only-*", env=env).out.splitlines())
        for l in found:
            self.assertFalse(l["available"], l["name"])
            self.assertTrue(l["reason"])

    # ---- in the handshake's place

    def test_alerts(self):
        self.serve("tls.alert-*")
        for name, number in ALERTS.items():
            self.assertEqual(self.hello_bytes(f"tls.alert-{name}"), bytes((21, 3, 3, 0, 2, 2, number)), name)
        self.assertEqual(self.hello_bytes("tls.alert-close-notify"), bytes((21, 3, 3, 0, 2, 1, 0)))
        self.assertEqual(self.hello_bytes("tls.alert-user-canceled"), bytes((21, 3, 3, 0, 2, 1, 90, 21, 3, 3, 0, 2, 1, 0)))
        self.assertIn("handshake failure", self.shake("tls.alert-handshake-failure"))
        self.assertIn("unrecognized name", self.shake("tls.alert-unrecognized-name"))
        (hello, _) = self.events("tls.alert-handshake-failure", "client_hello", 2)
        self.assertEqual(hello["sni"], HOST)

    def test_a_warning_and_then_a_handshake(self):
        self.serve("tls.alert-warning")
        self.assertEqual(self.shake("tls.alert-warning"), "")
        (done,) = self.events("tls.alert-warning", "tls_done")
        self.assertEqual(done["version"], "TLSv1.2")
        seen = self.openssl("tls.alert-warning", "-msg").err + self.openssl("tls.alert-warning", "-msg").out
        self.assertRegex(seen, r"Alert \[length 0002\], warning unrecognized_name")

    def test_other_ends_of_a_handshake(self):
        self.serve("tls.[cghrst][aelrs][nortu]*")
        self.assertEqual(self.hello_bytes("tls.garbage"), b"250 ok\r\n250 ok\r\n")
        self.assertEqual(self.hello_bytes("tls.close"), b"")
        with self.assertRaises(ConnectionResetError):
            self.hello_bytes("tls.rst")
        half = self.hello_bytes("tls.truncate")
        self.assertEqual((half[:6], len(half)), (bytes((22, 3, 3, 0, 122, 2)), 11))
        self.assertIn("wrong version number", self.shake("tls.garbage"))
        with self.client("tls.hang") as c:
            c.hello()
            c.expect("STARTTLS", 220)
            c.sock.settimeout(1)
            with self.assertRaises(TimeoutError):
                c.starttls_again = trusting().wrap_socket(c.sock, server_hostname=HOST)
        self.assertEqual([l["at"] for l in self.events("tls.hang", "fault")], ["client-hello"])

    def test_sslv3(self):
        self.serve("tls.sslv3-emulated")
        self.assertEqual(self.hello_bytes("tls.sslv3-emulated"), bytes((21, 3, 0, 0, 2, 2, 70)))

    def test_half_a_hello_costs_nothing(self):
        """It waits for the rest without looking again and again, whatever its length says, and no answer is given."""
        self.serve("tls.only-1.3")
        with self.client("tls.only-1.3") as c:
            c.hello()
            c.expect("STARTTLS", 220)
            c.sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            before = self.cpu()
            c.sock.settimeout(1)
            with self.assertRaises(TimeoutError):
                c.sock.recv(1)
            self.assertLess(self.cpu() - before, 0.3)
        (fail,) = self.events("tls.only-1.3", "tls_fail")
        self.assertEqual((fail["phase"], fail["bytes"]), ("client-hello", 11))

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.p.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ---- versions, ciphers, groups

    def test_versions(self):
        self.serve("tls.only-*")
        for version, name in (("1.0", "TLSv1"), ("1.1", "TLSv1.1"), ("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")):
            with self.in_tls(f"tls.only-{version}", old_client()) as c:
                self.assertEqual(c.sock.version(), name)
                self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
        self.assertIn("protocol", self.shake("tls.only-1.0"))  # whoever has 1.2 at least
        modern = trusting()
        modern.minimum_version = ssl.TLSVersion.TLSv1_3
        self.assertIn("version", self.shake("tls.only-1.2", modern))

    def test_13_intolerant(self):
        self.serve("tls.13-*")
        self.assertIn("handshake failure", self.shake("tls.13-intolerant"))
        c = trusting()
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertEqual(self.shake("tls.13-intolerant", c), "")
        offered = [l["versions"] for l in self.events("tls.13-intolerant", "client_hello", 2)]
        self.assertEqual(offered, [["1.3", "1.2"], ["1.2"]])
        self.assertEqual(len(self.events("tls.13-intolerant", "fault", 2)), 1)

    def test_big_hello(self):
        self.serve("tls.big-*")
        self.assertEqual(self.shake("tls.big-hello-intolerant"), "")
        big = trusting()
        big.set_alpn_protocols([f"{i:0200d}" for i in range(6)])
        self.assertNotEqual(self.shake("tls.big-hello-intolerant", big), "")
        small, large = self.events("tls.big-hello-intolerant", "client_hello", 2)
        self.assertLess(small["size"], 1400)
        self.assertGreater(large["size"], 1400)
        self.assertEqual(large["alpn"], [f"{i:0200d}" for i in range(6)])
        self.assertEqual((small["alpn"], small["segments"]), ([], 1))

    def test_ciphers(self):
        self.serve("tls.[adenr][ncdus]*")
        for name, want, got in (("anon-only", "aNULL", r"^(ADH|AECDH)-"), ("null", "eNULL", r"NULL"), ("rsa-kex", "kRSA", r"^AES"),
                                ("ecdsa-only", "ALL", r"^(TLS_|ECDHE-ECDSA)")):
            c = old_client()
            c.set_ciphers(want + ":@SECLEVEL=0")
            with self.in_tls(f"tls.{name}", c) as s:
                self.assertRegex(s.sock.cipher()[0], got)
                self.assertEqual(s.deliver(b"Subject: x\n\n").code, 250)
        for name in ("anon-only", "null"):  # who does not offer it gets none
            self.assertIn("handshake failure", self.shake(f"tls.{name}"))
        (done,) = self.events("tls.rsa-kex", "tls_done")
        self.assertEqual((done["cert_name"], done["group"], done["cert_valid"]), ("good-rsa", "", True))

    def test_dh1024(self):
        self.serve("tls.dh1024")
        self.assertIn("dh key too small", self.shake("tls.dh1024"))  # OpenSSL's level 2
        seen = self.openssl("tls.dh1024", "-cipher", "DHE:@SECLEVEL=0").out
        self.assertIn("Server Temp Key: DH, 1024 bits", seen)

    def test_signatures_and_groups(self):
        self.serve("tls.[ep]*-only")
        for name, key, sigalg in (("ecdsa-only", "id-ecPublicKey", "ecdsa-sha256"), ("ed25519-only", "ED25519", "ed25519")):
            self.assertEqual(self.shake(f"tls.{name}"), "")
            self.assertEqual(self.events(f"tls.{name}", "tls_done")[0]["sigalg"], sigalg)
            self.assertIn("alert", self.shake_openssl(f"tls.{name}", "-sigalgs", "rsa_pss_rsae_sha256"))
        seen = self.openssl("tls.p521-only", "-msg").out
        self.assertIn("Server Temp Key: ECDH, secp521r1, 521 bits", seen)
        self.assertEqual(len(re.findall(r">>> TLS 1\.\d, Handshake \[length \w+\], ClientHello", seen)), 2)  # HelloRetryRequest
        done = self.events("tls.p521-only", "tls_done")[0]
        self.assertEqual(done["group"], "secp521r1")

    def shake_openssl(self, name, *words):
        done = self.openssl(name, *words)
        return "" if done.returncode == 0 else done.err

    # ---- SNI, client certificates

    def test_sni(self):
        self.serve("tls.sni-*")
        self.assertEqual(self.shake("tls.sni-required"), "")
        self.assertIn("unrecognized name", self.shake("tls.sni-required", sni=None))
        fails = self.events("tls.sni-required", "tls_fail", 2)
        self.assertEqual([(f["alert_out"], f["alert_in"], f["sni"]) for f in fails], [("unrecognized-name", None, "")])
        strict = verifying(self.pki / "ca.pem")
        self.assertEqual(self.shake("tls.sni-selects", strict), "")
        self.assertEqual(self.shake("tls.sni-selects", sni=None), "")
        self.assertEqual(self.shake("tls.sni-selects", sni="elsewhere.test"), "")
        done = self.events("tls.sni-selects", "tls_done", 3)
        self.assertEqual([(d["cert_name"], d["cert_valid"], d["sni"]) for d in done],
                         [("good-ecdsa", True, HOST), ("wrong-host", False, ""), ("wrong-host", False, "elsewhere.test")])

    def test_client_certificates(self):
        self.serve("tls.client-cert-*")
        own = trusting()
        own.load_cert_chain(self.pki / "good-rsa.pem", self.pki / "good-rsa.key")
        for name in ("optional", "required"):
            self.assertEqual(self.shake(f"tls.client-cert-{name}", own), "")
            (done,) = self.events(f"tls.client-cert-{name}", "tls_done")
            der = ssl.PEM_cert_to_DER_cert((self.pki / "good-rsa.pem").read_text().split("-----END CERTIFICATE-----")[0]
                                           + "-----END CERTIFICATE-----\n")
            self.assertEqual(done["client_cert"], {"subject": "CN=postern-bench", "issuer": "CN=postern-bench intermediate 1",
                                                   "sha256": hashlib.sha256(der).hexdigest()})
        self.assertEqual(self.shake("tls.client-cert-optional"), "")
        self.assertIsNone(self.events("tls.client-cert-optional", "tls_done", 2)[1]["client_cert"])
        with self.client("tls.client-cert-required") as c:  # TLS 1.3: it is up for the client before the server has said no
            c.hello()
            c.starttls()
            self.assertEqual(c.sock.version(), "TLSv1.3")
            with self.assertRaises(ssl.SSLError) as caught:
                c.sock.sendall(b"EHLO client.example.test\r\n")
                c.sock.recv(1)
            self.assertIn("CERTIFICATE_REQUIRED", str(caught.exception).upper().replace(" ", "_"))
        (fail,) = self.events("tls.client-cert-required", "tls_fail", 2)
        self.assertEqual((fail["phase"], fail["alert_out"]), ("handshake", "certificate-required"))

    # ---- the end of TLS

    def test_ends_without_a_word(self):
        self.serve("tls.[nt]*")
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)

        def content(name):
            c = stack.enter_context(self.in_tls(name))
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("RCPT TO:<b@example.test>", 250)
            c.expect("DATA", 354)
            c.sock.sendall(b"x\r\n.\r\n")
            return c
        c = content("tls.no-close-notify")
        self.assertEqual(c.reply().code, 250)
        with self.assertRaises(ssl.SSLEOFError):  # not SSLZeroReturnError: no close_notify
            c.sock.recv(1)
        c = content("tls.truncate-reply")
        self.assertEqual(c.sock.recv(100), b"250 2.0.0 o")
        with self.assertRaises(ssl.SSLEOFError):
            c.sock.recv(1)
        self.assertEqual(content("tls.truncate-reply").reply().code, 250)  # the second time all of it
        stack.close()
        taken = [l["accepted"] for l in self.events("tls.truncate-reply", "message", 2)]
        self.assertEqual(taken, [False, True])  # half a reply promises nothing

    def test_half_close(self):
        self.serve("tls.half-close")
        with self.in_tls("tls.half-close") as c:
            c.expect("MAIL FROM:<a@example.net>", 250)
            c.expect("RCPT TO:<b@example.test>", 250)
            c.expect("DATA", 354)
            c.sock.sendall(b"x\r\n.\r\n")
            raw = socket.socket(fileno=os.dup(c.sock.fileno()))
            raw.settimeout(PATIENCE)
            with raw:
                self.assertEqual(raw.recv(1, socket.MSG_PEEK), b"")  # it has ended
                for _ in range(3):  # and reads on: nothing resets the connection
                    c.sock.sendall(b"NOOP\r\n" * 1000)
                    self.assertEqual(raw.recv(1, socket.MSG_PEEK), b"")
            with self.assertRaises(ssl.SSLEOFError):  # without close_notify
                c.sock.recv(1)
        end = self.lines("tls.half-close")[-1]
        self.assertEqual(end["by"], "server")
        self.assertFalse(next(l for l in self.lines("tls.half-close") if l["ev"] == "message")["accepted"])

    # ---- resumption

    def resumed(self, name, version):
        """Whether the second connection brought something back, and whether it was taken."""
        saved = self.dir / "session"
        first = self.openssl(name, version, "-sess_out", saved)
        self.assertEqual(first.returncode, 0, first.err)
        if not saved.exists() or not saved.stat().st_size:
            return "nothing to bring back"
        second = self.openssl(name, version, "-sess_in", saved)
        saved.unlink()
        return "Reused" if "\nReused, " in second.out else "New" if "\nNew, " in second.out else second.out + second.err

    def test_resumption(self):
        self.serve("tls.[ont][-nio][-hcrl]*")
        for version, name in (("-tls1_2", "1.2"), ("-tls1_3", "1.3")):
            self.assertEqual(self.resumed(f"tls.only-{name}", version), "Reused")
            self.assertEqual(self.resumed("tls.ticket-garbage", version), "New")
            self.assertIn(self.resumed("tls.no-resume", version), ("New", "nothing to bring back"))
        done, hello = self.events("tls.only-1.2", "tls_done", 2), self.events("tls.only-1.2", "client_hello", 2)
        self.assertEqual([d["resumed"] for d in done], [False, True])
        self.assertEqual([h["resume"] for h in hello], [False, True])
        garbage = self.events("tls.ticket-garbage", "tls_done", 4), self.events("tls.ticket-garbage", "client_hello", 4)
        self.assertEqual([h["resume"] for h in garbage[1]], [False, True, False, True])  # a ticket was given, and is not known
        self.assertFalse(any(d["resumed"] for d in garbage[0]))

    # ---- while content comes

    def test_keyupdate(self):
        self.serve("tls.keyupdate")
        with self.in_tls("tls.keyupdate") as c:
            self.assertEqual(c.deliver(b"Subject: x\n\n" + b"line\n" * 1000).code, 250)
            c.expect("NOOP", 250)  # OpenSSL answers with keys of its own before it says more
            c.expect("QUIT", 221)
        lines = self.lines("tls.keyupdate")
        (event,) = [l for l in lines if l["ev"] == "tls_event"]
        self.assertEqual(event["what"], "keyupdate")
        order = [l["ev"] for l in lines if l["ev"] in ("fault", "message", "tls_event")]
        self.assertEqual(order, ["fault", "message", "tls_event"])

    def test_renegotiate(self):
        self.serve("tls.renegotiate")
        with self.in_tls("tls.renegotiate") as c:
            self.assertEqual(c.deliver(b"Subject: x\n\n" + b"line\n" * 1000).code, 250)
            c.expect("NOOP", 250)
            c.expect("QUIT", 221)
        events = [l["what"] for l in self.events("tls.renegotiate", "tls_event")]
        self.assertEqual(events, ["renegotiated"])

    def test_slow_records(self):
        self.serve("tls.slow-records")
        with self.in_tls("tls.slow-records") as c:
            c.sock.sendall(b"NOOP\r\n")
            began = time.monotonic()
            pieces = []
            while b"\n" not in b"".join(pieces):
                pieces.append(c.sock.recv(65536))  # at most one record
            self.assertEqual(set(map(len, pieces)), {1})
            self.assertGreater(time.monotonic() - began, 0.004 * (len(pieces) - 1))
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)

    # ---- OCSP

    def stapled(self, name):
        return self.openssl(name, "-status").out

    def test_ocsp(self):
        self.serve("tls.ocsp-*")
        good = self.stapled("tls.ocsp-good")
        self.assertIn("Cert Status: good", good)
        self.assertIn("Cert Status: revoked", self.stapled("tls.ocsp-revoked"))
        old = self.stapled("tls.ocsp-expired")
        self.assertIn("Cert Status: good", old)
        until = time.strptime(re.search(r"Next Update: (.*) GMT", old).group(1), "%b %d %H:%M:%S %Y")
        self.assertLess(calendar.timegm(until), time.time())
        missing = self.stapled("tls.ocsp-missing-must-staple")
        self.assertIn("OCSP response: no response sent", missing)
        self.assertIn("TLS Feature", run("openssl", "x509", "-noout", "-text", input=missing.encode()).out)
        self.assertNotIn("Cert Status", self.openssl("tls.ocsp-good").out)  # nobody asked
        asked = [l["status"] for l in self.events("tls.ocsp-good", "client_hello", 2)]
        self.assertEqual(asked, [True, False])

    # ---- TLS where none is expected, and none where it is

    def test_swapped_ports(self):
        self.serve("tls.implicit*")
        with self.client("tls.implicit", tls=verifying(self.pki / "ca.pem")) as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
        with self.assertRaises(ssl.SSLError) as caught, self.client("tls.implicit-swap-465", tls=trusting()):
            pass
        self.assertIn("WRONG_VERSION_NUMBER", str(caught.exception))
        with self.client("tls.implicit-swap-25", tls=trusting()) as c:
            c.hello()  # it is a server of TLS
        began = time.monotonic()
        with self.client("tls.implicit-swap-25") as c:
            self.assertTrue(c.ended())
        self.assertGreater(time.monotonic() - began, 9)

    def test_what_a_sender_is_told(self):
        script = self.dir / "told"
        script.write_text('#!/bin/sh\necho "$BENCH_SCENARIO $BENCH_IMPLICIT" >>"$0.out"\n')
        script.chmod(0o700)

        def told(*words):
            run(BENCH, "run", "--pki", self.pki, "--out", self.out, *words, "--", script)
            return dict(l.split() for l in (self.dir / "told.out").read_text().splitlines())
        self.assertEqual(told("--only", "tls.implicit*"),
                         {"tls.implicit": "yes", "tls.implicit-swap-25": "no", "tls.implicit-swap-465": "yes"})
        self.assertEqual(told("--only", "tls.only-1.3")["tls.only-1.3"], "no")
        self.assertEqual(told("--only", "tls.only-1.3", "--implicit")["tls.only-1.3"], "yes")

    def test_all_of_it_with_implicit_tls(self):
        self.serve("tls.[ogs]*", "--implicit")
        with self.client("tls.only-1.2", tls=trusting()) as c:
            c.hello()
            self.assertEqual(c.sock.version(), "TLSv1.2")
            self.assertNotIn("STARTTLS", c.ask("EHLO client.example.test"))
        with self.assertRaises(ssl.SSLError), self.client("tls.garbage", tls=trusting()):
            pass
        with self.assertRaises(ssl.SSLError) as caught:
            sock = socket.create_connection(("127.0.0.1", self.ports["tls.sni-required"]), PATIENCE)
            with sock:
                trusting().wrap_socket(sock)
        self.assertIn("UNRECOGNIZED_NAME", str(caught.exception).upper().replace(" ", "_"))
        done = run(BENCH, "run", "--implicit", "--only", "starttls.absent", "--pki", self.pki, "--out", self.out, "--", "false")
        self.assertIn("not available: it is about STARTTLS", done.out)

    # ---- section E

    def test_certificates(self):
        self.serve("cert.*")
        want = {"self-signed": "self-signed", "untrusted-root": "unable to get local issuer", "wrong-host": "hostname mismatch",
                "expired": "expired", "not-yet-valid": "not yet valid", "incomplete-chain": "unable to get local issuer",
                "eku-client": "unsuitable certificate purpose", "name-constraint": "permitted subtree violation",
                "wildcard-too-deep": "hostname mismatch", "cn-only": "hostname mismatch"}
        for name in CERTS:
            strict = verifying(self.pki / "ca.pem")
            strict.set_ciphers("DEFAULT:@SECLEVEL=0")
            strict.hostname_checks_common_name = False
            error = self.shake(f"cert.{name}", strict)
            self.assertIn(want.get(name, ""), error, name)
            self.assertEqual(bool(error), name in want, (name, error))
            self.assertEqual(self.shake(f"cert.{name}", old_client()), "", name)
            shown = self.events(f"cert.{name}", "tls_done", 2)
            if name != "rotates":
                self.assertEqual({d["cert_name"] for d in shown}, {name})
            if name in ("wrong-host", "expired"):
                fail = self.events(f"cert.{name}", "tls_fail", 2)[0]
                self.assertEqual(fail["alert_in"], "bad-certificate" if name == "wrong-host" else "certificate-expired")
        for name in ("sha1", "rsa1024"):  # a sender of today, OpenSSL's level 2
            self.assertRegex(self.shake(f"cert.{name}", verifying(self.pki / "ca.pem")), "too (weak|small)")

    def test_revoked(self):
        self.serve("cert.[rg]*[deac]")
        crl = verifying(self.pki / "ca.pem")
        crl.load_verify_locations(self.pki / "ca.crl")
        crl.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        self.assertIn("revoked", self.shake("cert.revoked", crl))
        self.assertEqual(self.shake("cert.good-rsa", crl), "")
        self.assertIn("Cert Status: revoked", self.stapled("cert.revoked"))

    def test_rotates(self):
        self.serve("cert.rotates")
        keys = []
        for _ in range(7):
            self.assertEqual(self.shake("cert.rotates", verifying(self.pki / "ca.pem")), "")
        keys = [d["cert_name"] for d in self.events("cert.rotates", "tls_done", 7)]
        self.assertEqual(keys, ["good-ecdsa"] * 2 + ["good-rsa"] * 2 + ["good-ed25519"] * 2 + ["good-ecdsa"])

    # ---- facts

    def test_facts_of_a_handshake(self):
        self.serve("tls.only-1.3")
        context = trusting()
        context.set_alpn_protocols(["h2", "smtp"])
        with self.in_tls("tls.only-1.3", context) as c:
            cipher = c.sock.cipher()[0]
            c.expect("QUIT", 221)
            with contextlib.suppress(OSError):
                c.sock.unwrap()
        with self.in_tls("tls.only-1.3", context, sni="other.test"):
            pass
        one, two = self.events("tls.only-1.3", "client_hello", 2)
        self.assertEqual((one["sni"], one["alpn"], one["resume"], one["segments"]), (HOST, ["h2", "smtp"], False, 1))
        self.assertEqual(one["fp"], two["fp"])  # of the software, not of the host it asks for
        self.assertRegex(one["fp"], r"^t13d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}$")
        ciphers = ",".join(sorted(one["ciphers"]))
        self.assertEqual(one["fp"].split("_")[1], hashlib.sha256(ciphers.encode()).hexdigest()[:12])
        done = self.events("tls.only-1.3", "tls_done", 2)[0]
        self.assertEqual((done["version"], done["cipher"], done["resumed"], done["sni"], done["cert_name"], done["cert_valid"],
                          done["client_cert"]), ("TLSv1.3", cipher, False, HOST, "good-ecdsa", True, None))
        self.assertEqual(done["group"], "x25519")
        self.assertEqual(done["sigalg"], "ecdsa-sha256")
        self.assertTrue(0 < done["hs_ms"] < 10000)
        self.assertEqual([l["close_notify"] for l in self.events("tls.only-1.3", "tls_end", 2)], [True, False])

    def test_text_that_is_no_text(self):
        """A name that is not for terminals is one with question marks, and breaks nothing."""
        self.serve("tls.only-1.2")
        room = ssl.MemoryBIO()
        tls = trusting().wrap_bio(ssl.MemoryBIO(), room, server_hostname="aaaa.test")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        with self.client("tls.only-1.2") as c:
            c.hello()
            c.expect("STARTTLS", 220)
            c.sock.sendall(room.read().replace(b"aaaa.test", b"\xff\x1b[m.test"))
            c.sock.recv(10)
        (hello,) = self.events("tls.only-1.2", "client_hello")
        self.assertEqual(hello["sni"], "??[m.test")
        self.assertEqual(self.events("tls.only-1.2", "tls_fail")[0]["sni"], "??[m.test")

    # ---- verdicts

    def failed(self, only, policy, *faults, words=()):
        done = run(BENCH, "run", "--catalogue", ROOT / "conf" / "bench", "--only", only, "--policy", policy, "--out", self.out, "--pki",
                   self.pki, *words, "--", sys.executable, SENDER, *faults, check=False, timeout=300)
        self.results = dict(l.split()[:2] for l in done.out.splitlines() if re.match(r"\S+ +(pass|FAIL|undecided) ", l))
        return sorted(n for n, r in self.results.items() if r == "FAIL")

    def test_one_that_does_not_verify(self):
        bad = self.failed("cert.*", "verified", "no-verification")
        self.assertEqual(bad, sorted(f"cert.{c}" for c in ("self-signed", "untrusted-root", "wrong-host", "expired", "not-yet-valid",
                                                            "incomplete-chain", "eku-client", "name-constraint", "wildcard-too-deep")))
        self.assertEqual(self.failed("cert.*", "required", "no-verification"), [])


if __name__ == "__main__":
    main()
