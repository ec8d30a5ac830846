#!/usr/bin/env python3
"""Straight to the recipient's MX: which hosts, in which order, and what DANE demands of them (RFC 5321 5.1, 7505, 7672).
Port 25 is the protocol's: the next hops are on addresses of the loopback that nobody else uses."""
import email
import pathlib
import random
import ssl
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import zone  # noqa: E402
from postern import *  # noqa: E402,F403
from hop import Hop  # noqa: E402

REPORTS_TO = "alice@example.test"


def may_bind():
    if zone.why_not():
        return zone.why_not()
    with socket.socket() as s:
        try:
            s.bind(("127.77.77.77", 25))
        except OSError as e:
            return f"port 25 cannot be bound: {e.strerror}"
    return None


@unittest.skipIf(may_bind(), may_bind())
class Mx(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.base = "127.%d.%d." % (random.randrange(1, 255), random.randrange(1, 255))
        cls.d = Daemon(start=False, listeners={"inside": {"tls": "off", "relay-from": '{"127.0.0.1"}'}})
        cls.hops = {}
        dane = {}
        for i, name in enumerate(("plain", "second", "dane", "other", "ca", "naked", "silent")):
            cls.hops[name] = hop = Hop(at=(cls.base + str(i + 10), 25))
            if name in ("plain", "second", "naked"):
                continue
            chain, key = cls.d.dir / f"{name}.pem", cls.d.dir / f"{name}.key"
            cls.d.ca.issue(chain, key, name=f"{name}.signed.example")
            chain.write_text(chain.read_text() + cls.d.ca.pem.read_text())
            hop.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            hop.tls.load_cert_chain(chain, key)
            dane[name] = zone.tlsa_3_1_1(chain)
        records = [f"{name} IN A {hop.at[0]}" for name, hop in cls.hops.items()]
        records += [f"down IN A {cls.base}99",
                    "failover IN MX 10 down", "failover IN MX 20 plain",
                    "order IN MX 20 second", "order IN MX 10 plain",
                    "nullmx IN MX 0 .", "loop IN MX 10 mx.example.test.", "nohost IN MX 10 missing", "nohost IN TXT x",
                    "good IN MX 10 dane", f"_25._tcp.dane IN TLSA {dane['dane']}",
                    "wrong IN MX 10 other", f"_25._tcp.other IN TLSA {dane['dane']}",
                    "anchor IN MX 10 ca", f"_25._tcp.ca IN TLSA {zone.tlsa_2_0_1(cls.d.ca.pem)}",
                    "stripped IN MX 10 naked", f"_25._tcp.naked IN TLSA {dane['dane']}",
                    "unknown IN MX 10 silent", "_25._tcp.silent IN TLSA 3 1 1 " + "00" * 32,
                    "forged IN MX 10 plain"]
        cls.zone = zone.Zone(cls.d.dir / "dns", "signed.example", records, refuse=("_tcp.silent.signed.example",))
        cls.zone.start(spoil=[("forged.signed.example.\t60\tIN\tMX\t10 plain", "forged.signed.example.\t60\tIN\tMX\t10 second")])
        for hop in cls.hops.values():
            hop.up()
        cls.d.extra = f'''
delivery "out" {{ type = mx }}
relay {{ delivery = "out" }}
dns {{ resolver = "127.0.0.1:{cls.zone.port}" trust-anchor = "{cls.zone.anchor}" }}
queue {{ first-retry = 1s longest-retry = 2s }}
'''
        cls.d.write()
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        cls.zone.stop()
        for hop in cls.hops.values():
            hop.down()
        reports = cls.d.reports()
        cls.d.remove()
        assert not reports, reports

    def send(self, to):
        with self.d.client("inside") as c:
            c.hello()
            got = c.deliver(b"Subject: out\n\nbody\n", to=[to], sender=REPORTS_TO)
            self.assertEqual(got.code, 250, got)

    def at(self, hop, to):
        return wait_until(lambda: [m for m in self.hops[hop].messages() if to in m[1]])[0]

    def deferred(self, to):
        line = self.d.wait_event("queue.deferred", to)[0]
        for hop in self.hops.values():
            self.assertFalse([m for m in hop.messages() if to in m[1]])
        return line

    def report(self, to):
        def found():
            for path in self.d.messages("alice"):
                status = email.message_from_bytes(path.read_bytes()).get_payload(1).get_payload()[1]
                if status["Final-Recipient"] == f"rfc822; {to}" or status["Final-Recipient"].endswith(to):
                    return status
        return wait_until(found)

    def test_the_next_best_host_when_one_is_down(self):
        self.send("a@failover.signed.example")
        self.assertFalse(self.at("plain", "a@failover.signed.example")[3])

    def test_the_best_host_first(self):
        self.send("a@order.signed.example")
        self.at("plain", "a@order.signed.example")

    def test_without_mx_the_address_is_the_host(self):
        self.send("a@plain.signed.example")
        self.at("plain", "a@plain.signed.example")

    def test_those_who_take_no_mail(self):
        for to, code in (("a@nullmx.signed.example", "5.1.10"), ("a@gone.signed.example", "5.1.2"), ("a@loop.signed.example", "5.4.6"),
                         ("a@nohost.signed.example", "5.4.4")):
            self.send(to)
            self.assertEqual(self.report(to)["Status"], code, to)

    def test_dane(self):
        self.send("a@good.signed.example")
        self.assertTrue(self.at("dane", "a@good.signed.example")[3])
        self.assertIn("DANE", self.d.wait_event("queue.relayed", "a@good.signed.example")[0])
        self.send("a@anchor.signed.example")
        self.assertTrue(self.at("ca", "a@anchor.signed.example")[3])

    def test_a_certificate_that_is_not_the_one(self):
        self.send("a@wrong.signed.example")
        self.assertIn("4.7", self.deferred("a@wrong.signed.example"))

    def test_no_starttls_where_dane_demands_it(self):
        self.send("a@stripped.signed.example")
        line = self.deferred("a@stripped.signed.example")
        self.assertIn("enhanced=4.7.6", line)
        self.assertIn("STARTTLS", line)

    def test_records_that_cannot_be_found_out(self):
        """A downgrade: who can keep the TLSA answer away must not get the mail (RFC 7672 2.1.2)."""
        self.send("a@unknown.signed.example")
        self.deferred("a@unknown.signed.example")

    def test_a_forged_answer(self):
        self.send("a@forged.signed.example")
        line = self.deferred("a@forged.signed.example")
        self.assertIn("4.4.3", line)


if __name__ == "__main__":
    main()
