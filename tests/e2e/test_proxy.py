#!/usr/bin/env python3
"""The PROXY protocol in front of SMTP: who the client is says the proxy, and nobody else."""
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.2 56324 25\r\n"


def v2(client="192.0.2.7", command=1, tlvs=b""):
    if ":" in client:
        body = socket.inet_pton(socket.AF_INET6, client) + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    else:
        body = socket.inet_aton(client) + socket.inet_aton("198.51.100.2")
    body += struct.pack("!HH", 56324, 25) + tlvs
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x21 if ":" in client else 0x11, len(body)) + body


class Proxy(DaemonTest):
    def setUp(self):
        proxied = {"proxy-from": '{"127.0.0.1"}'}
        self.d = self.daemon(listeners={"mx": {"tls": "starttls", **proxied}, "implicit": {"tls": "implicit", **proxied},
                                        "inside": {"tls": "off", "relay-from": '{"192.0.2.0/24"}', **proxied},
                                        "other": {"tls": "starttls", "proxy-from": '{"203.0.113.0/24"}'}},
                             extra='delivery "out" { type = smtp address = "127.0.0.1:9" }\nrelay { delivery = "out" }',
                             options={"max-connections-per-address": "3"})

    def connect(self, header, listener="mx", tls=False):
        """The header, then a client that speaks."""
        sock = socket.create_connection(("127.0.0.1", self.d.port(listener)), PATIENCE)
        if header:
            sock.sendall(header)
        c = object.__new__(Client)
        c.sock, c.buf, c.name = trusting().wrap_socket(sock) if tls else sock, b"", "mx.example.test"
        return c

    def address_of(self, c):
        c.hello()
        self.assertEqual(c.deliver(b"Subject: x\n\nbody\n").code, 250)
        c.expect("QUIT", 221)
        header = self.d.messages()[-1].read_text()
        return re.search(r"^Received: from client.example.test \(.*?\[(.*?)\]\)", header, re.M).group(1)

    def test_the_client_is_who_the_header_says(self):
        for header, address in ((V1, "192.0.2.7"), (v2(), "192.0.2.7"), (v2("2001:db8::7"), "IPv6:2001:db8::7"),
                                (v2(tlvs=b"\x04\0\x10" + b"x" * 16), "192.0.2.7"), (v2(command=0), "127.0.0.1"),
                                (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.2 1 25\r\n", "192.0.2.7"),
                                (b"PROXY UNKNOWN\r\n", "127.0.0.1")):
            with self.connect(header) as c:
                self.assertEqual(self.address_of(c), address, header)
        line = [l for l in self.d.wait_event("smtp.connection-end") if "remoteIp=192.0.2.7" in l][0]
        self.assertIn("proxyIp=127.0.0.1", line)

    def test_one_byte_at_a_time(self):
        for header in (V1, v2()):
            with self.connect(b"") as c:
                c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for i in range(len(header)):
                    c.sock.sendall(header[i:i + 1])
                self.assertEqual(self.address_of(c), "192.0.2.7")

    def test_what_follows_at_once_is_the_clients(self):
        with self.connect(V1 + b"EHLO early.test\r\n") as c:
            self.assertEqual(c.reply().code, 220)
            self.assertEqual(c.reply().code, 250)

    def test_in_front_of_tls(self):
        with self.connect(v2(), "implicit", tls=True) as c:
            self.assertEqual(self.address_of(c), "192.0.2.7")
        with self.connect(V1) as c:
            c.hello()
            c.starttls()
            self.assertIn("PIPELINING", c.ask("EHLO client.example.test"))

    def test_without_or_with_a_broken_header_nothing_is_said(self):
        for header in (b"EHLO client.example\r\n", b"PROXY TCP4 192.0.2.7\r\n", SIGNATURE + b"\x11\x11\0\0", b"\x16\x03\x01" * 9,
                       v2(tlvs=b"\x01\xff\xff"), b"PROXY TCP4 " + b"1" * 200):
            with self.connect(header) as c:
                self.assertTrue(c.ended(), header)
        c = self.connect(V1[:20])
        c.sock.shutdown(socket.SHUT_WR)
        self.assertTrue(c.ended())
        c.close()
        self.assertTrue(self.d.wait_event("proxy.invalid"))
        with self.connect(V1) as c:
            c.hello()

    def test_a_header_from_elsewhere_is_no_header(self):
        with self.connect(V1, "other") as c:
            self.assertEqual(c.reply().code, 220)
            self.assertEqual(c.reply().code, 500)
            self.assertIn("250", c.ask("EHLO client.example.test"))

    def test_silence_ends(self):
        with self.connect(b"PROXY ") as c:
            self.assertTrue(c.ended())
        self.assertIn("no header in time", self.d.wait_event("proxy.invalid")[0])

    def test_limits_and_rights_are_the_clients(self):
        held = [self.connect(V1) for _ in range(3)]
        for c in held:
            c.hello()
        with self.connect(V1) as c:
            self.assertEqual(c.reply().code, 421)  # a fourth from 192.0.2.7
        with self.connect(v2("192.0.2.8")) as c:
            c.hello()
        for c in held:
            c.close()
        for client, code in (("192.0.2.9", 250), ("::ffff:192.0.2.9", 250), ("198.51.100.9", 550)):
            with self.connect(v2(client), "inside") as c:
                c.hello()
                c.expect("MAIL FROM:<alice@example.test>", 250)
                self.assertTrue(c.ask("RCPT TO:<out@remote.test>").startswith(str(code)), client)

    def test_a_reload_with_half_a_header(self):
        with self.connect(V1[:10]) as c:
            self.d.reload()
            c.sock.sendall(V1[10:])
            self.assertEqual(self.address_of(c), "192.0.2.7")

    @unittest.skipUnless(shutil.which("haproxy", path="/usr/sbin:" + os.environ["PATH"]), "haproxy is not installed")
    def test_haproxy(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        conf = self.d.dir / "haproxy.cfg"
        for version in ("send-proxy check inter 50", f"send-proxy-v2 check inter 50 port {self.d.port()}"):
            said = self.d.dir / "haproxy.log"
            conf.write_text(f"""
defaults
    mode tcp
    log stdout format raw daemon
    option log-health-checks
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen smtp
    bind 127.0.0.1:{port}
    server mx 127.0.0.1:{self.d.port()} {version}
""")
            with said.open("wb") as log:
                p = subprocess.Popen(["haproxy", "-f", conf, "-db"], stdout=log, stderr=log,
                                     env=dict(os.environ, PATH="/usr/sbin:" + os.environ["PATH"]))
            try:
                def up():
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                        return True
                wait_until(up)
                with Client(port, source="127.0.0.5") as c:
                    self.assertEqual(self.address_of(c), "127.0.0.5")
                wait_until(lambda: "Health check" in said.read_text())
            finally:
                p.kill()
                p.wait()
            self.assertIn("succeeded", said.read_text())
        self.assertEqual(self.d.events("proxy.invalid"), [])  # health checks, with and without a header


if __name__ == "__main__":
    main()
