#!/usr/bin/env python3
"""Mail goes directly to the servers that the DNS names: preferences and failover, null MX, DANE, and lookups that fail. The
names are in a signed zone of our own; port 25 is that of a network namespace of our own."""
import email
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

HERE = "POSTERN_TEST_NETWORK"
UNSHARE, IP = shutil.which("unshare"), shutil.which("ip", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))


def move_into_a_network_of_our_own():
    """Starts this program again inside. Where that cannot be, the tests say so."""
    if HERE in os.environ or os.geteuid() != 0 or not UNSHARE or not IP:
        return
    if subprocess.run([UNSHARE, "-n", IP, "link", "set", "lo", "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        os.execve(UNSHARE, [UNSHARE, "-n", sys.executable, *sys.argv], dict(os.environ, **{HERE: "yes"}))


if __name__ == "__main__":
    move_into_a_network_of_our_own()
    if HERE in os.environ:
        subprocess.run([IP, "link", "set", "lo", "up"], check=True)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import dns_zone  # noqa: E402
from hop import Hop  # noqa: E402
from postern import *  # noqa: E402,F403

BODY = b"Subject: directly\nFrom: alice@example.test\n\nbody\n"

PLAIN = """
two MX 10 first
two MX 20 second
first A 127.0.1.1
second A 127.0.1.2
null MX 0 .
alone A 127.0.1.1
txt TXT "no host"
gone MX 10 nowhere
xn--bcher-kva MX 10 utf8
utf8 A 127.0.2.1
"""
# each name its own address, so that each can have a server of its own kind
SIGNED = """
good MX 10 mx.good
mx.good A 127.0.2.1
_25._tcp.mx.good TLSA 3 1 1 {right}
bad MX 10 mx.bad
mx.bad A 127.0.2.1
_25._tcp.mx.bad TLSA 3 1 1 {wrong}
lost MX 10 mx.lost
mx.lost A 127.0.2.1
_25._tcp.mx.lost TLSA 3 1 1 {right}
forged MX 10 mx.forged
mx.forged A 127.0.2.1
_25._tcp.mx.forged TLSA 3 1 1 {forged}
clear MX 10 mx.clear
mx.clear A 127.0.2.2
_25._tcp.mx.clear TLSA 3 1 1 {right}
half MX 10 mx.half
mx.half A 127.0.2.2
mx.half AAAA {address}
_25._tcp.mx.half TLSA 3 1 1 {right}
own MX 10 mx.own
other MX 10 mx.own
mx.own A 127.0.2.3
_25._tcp.mx.own TLSA 2 1 1 {ca}
strict MX 10 mx.good
strict MX 20 mx.third
mx.third A 127.0.2.3
_25._tcp.mx.third TLSA 3 1 1 {third}
without MX 10 mx.without
mx.without A 127.0.2.2
spare MX 10 mx.bad
spare MX 20 mx.good
null MX 0 .
"""


def why_not():
    if not IS_ROOT:
        return "needs root: port 25 of a network namespace of its own"
    return None if HERE in os.environ else "no network namespace can be made here"


@unittest.skipIf(why_not() or dns_zone.why_not(), why_not() or dns_zone.why_not())
class Mx(DaemonTest):
    def setUp(self):
        d = self.d = self.prepared(listeners={"inside": {"tls": "off", "relay-from": '{"127.0.0.1"}'},
                                              "sealed": {"tls": "starttls", "relay-from": '{"127.0.0.1"}'}})
        self.hops = {}
        for host in ("127.0.1.1", "127.0.1.2", "127.0.2.1", "127.0.2.2", "127.0.2.3"):
            self.hops[host] = Hop(at=(host, 25)).up()
            self.addCleanup(self.hops[host].down)
        # nobody's CA has signed it: only DANE can tell that it is right
        chain, key = d.dir / "mx.pem", d.dir / "mx-key.pem"
        d.ca.issue(chain, key, name="unknown.test", self_signed=True)
        self.right = self.public_key(key)
        self.hops["127.0.2.1"].tls = self.context(chain, key)
        # a CA that only DANE trusts, and a certificate that names the domain and not the host
        chain, key = d.dir / "own.pem", d.dir / "own-key.pem"
        d.ca.issue(chain, key, name="own.signed.example")
        self.hops["127.0.2.3"].tls = self.context(chain, key)
        wrong, forged = (hashlib.sha256(x).hexdigest() for x in (b"another key", b"what the owner signed"))
        self.dns = dns_zone.NameServer(d.dir / "dns", {"plain.example": PLAIN, "signed.example": SIGNED.format(
            right=self.right, wrong=wrong, forged=forged, address="2001:db8::7", ca=self.public_key(d.ca.key), third=self.public_key(key))}, signed=["signed.example"], silent=["_25._tcp.mx.lost.signed.example"],
            forge=[(forged, self.right), ("2001:db8::7", "2001:db8::8")])
        self.dns.start()
        self.addCleanup(self.dns.stop)
        d.extra = (f'delivery "direct" {{ type = mx }}\nrelay {{ delivery = "direct" }}\n'
                   f'queue {{ first-retry = 1s longest-retry = 2s }}\n'
                   f'dns {{ resolver = {{"127.0.0.1:{self.dns.port}"}} trust-anchor = "{self.dns.anchor}" }}\n')
        d.write()
        d.start()

    @staticmethod
    def public_key(key):
        return hashlib.sha256(run("openssl", "pkey", "-in", key, "-pubout", "-outform", "DER").stdout).hexdigest()

    @staticmethod
    def context(chain, key):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(chain, key)
        return tls

    def send(self, *to, params="", sealed=False):
        with self.d.client("sealed" if sealed else "inside") as c:
            c.hello()
            if sealed:
                c.starttls()
                c.expect("EHLO client.example.test", 250)
            got = c.deliver(BODY, to=to, sender="alice@example.test", params=params)
            self.assertEqual(got.code, 250, got)
            c.expect("QUIT", 221)

    def taken(self, host):
        return wait_until(lambda: self.hops[host].messages())

    def gone(self):
        wait_until(lambda: not [p for p in (self.d.state / "queue").iterdir() if not p.name.startswith(".")])

    def status_of_report(self):
        (path,) = wait_until(lambda: self.d.messages("alice"))
        report = email.message_from_bytes(path.read_bytes())
        (failed,) = report.get_payload(1).get_payload()[1:]
        self.assertEqual(failed["Action"], "failed")
        self.gone()
        return failed["Status"]

    def stays(self, host, event="queue.deferred", times=2):
        """Tried again and again, and never given away."""
        events = self.d.wait_event(event, count=times)
        self.assertEqual(self.hops[host].messages(), [])
        self.assertEqual(len([p for p in (self.d.state / "queue").iterdir() if not p.name.startswith(".")]), 1)
        self.assertEqual(self.d.messages("alice"), [])
        return events[0]

    # ---- MX

    def test_preference(self):
        for i in range(5):
            self.send(f"u{i}@two.plain.example")
        wait_until(lambda: len(self.hops["127.0.1.1"].messages()) == 5)
        self.assertEqual(self.hops["127.0.1.2"].messages(), [])
        self.gone()

    def test_failover(self):
        self.hops["127.0.1.1"].down()
        self.send("a@two.plain.example")
        ((sender, rcpts, _, _),) = self.taken("127.0.1.2")
        self.assertEqual((sender, rcpts), ("alice@example.test", ["a@two.plain.example"]))
        self.gone()
        self.assertEqual(self.d.events("queue.deferred"), [])  # the other server is no second try

    def test_a_refusal_of_one_recipient_is_no_failover(self):
        """RFC 5321 5.1 is about servers that cannot be reached: a 550 is an answer."""
        self.hops["127.0.1.1"].refuse["a@two.plain.example"] = "550 5.1.1 nobody"
        self.send("a@two.plain.example")
        self.assertEqual(self.status_of_report(), "5.1.1")
        self.assertEqual(self.hops["127.0.1.2"].messages(), [])

    def test_all_down_waits(self):
        for host in ("127.0.1.1", "127.0.1.2"):
            self.hops[host].down()
        self.send("a@two.plain.example")
        self.d.wait_event("queue.deferred")
        self.hops["127.0.1.2"].up()
        self.taken("127.0.1.2")
        self.gone()

    def test_implicit_mx(self):
        self.send("a@alone.plain.example")
        self.taken("127.0.1.1")
        self.gone()

    def test_a_domain_in_letters_of_its_own(self):
        """RFC 6531 3.2: it is looked up as an A-label, and goes over the wire as it was written."""
        self.hops["127.0.2.1"].offers = ["SMTPUTF8"]
        to = "a@B\u00fccher.plain.example"
        self.send(to.encode().decode("latin-1"), params=" SMTPUTF8")
        self.assertEqual(self.taken("127.0.2.1")[0][1], [to])
        self.gone()

    def test_null_mx(self):
        """RFC 7505: at once, with 5.1.10, whether it is proven or not."""
        self.send("a@null.plain.example")
        self.assertEqual(self.status_of_report(), "5.1.10")
        self.assertIn("code=556", self.d.wait_event("queue.failed")[0])

    def test_null_mx_that_is_proven(self):
        self.send("a@null.signed.example")
        self.assertEqual(self.status_of_report(), "5.1.10")

    def test_no_such_domain(self):
        self.send("a@nosuch.plain.example")
        self.assertEqual(self.status_of_report(), "5.1.2")

    def test_no_host(self):
        self.send("a@txt.plain.example")
        self.assertEqual(self.status_of_report(), "5.4.4")

    def test_name_server_down(self):
        """Nobody is told that a domain does not exist because a name server is away."""
        self.dns.stop()
        self.send("a@two.plain.example")
        self.assertIn("enhanced=4.4.3", self.stays("127.0.1.1", times=1))
        self.dns.start()
        wait_until(lambda: self.hops["127.0.1.1"].messages(), 120)
        self.gone()

    # ---- DANE

    def test_dane_that_matches(self):
        self.send("a@good.signed.example")
        ((_, _, _, in_tls),) = self.taken("127.0.2.1")
        self.assertTrue(in_tls)
        event = self.d.wait_event("queue.relayed")[0]
        self.assertRegex(event, r'remote=\S*127\.0\.2\.1\S* .*tls="TLSv1\.3 \S+, verified by DANE')
        self.gone()

    def test_a_ca_of_its_own_and_the_name_of_the_domain(self):
        """RFC 7672 3.2.2: with usage 2 the certificate may name the domain that the mail is for, in place of the host."""
        self.send("a@own.signed.example")
        self.assertTrue(self.taken("127.0.2.3")[0][3])
        self.assertIn("DANE", self.d.wait_event("queue.relayed")[0])
        self.gone()

    def test_a_ca_of_its_own_and_the_name_of_another_domain(self):
        """Also over a connection that another domain's name has opened."""
        self.send("a@own.signed.example")
        self.taken("127.0.2.3")
        self.gone()
        self.send("a@other.signed.example")
        self.d.wait_event("queue.deferred", count=2)
        self.assertEqual(len(self.hops["127.0.2.3"].messages()), 1)

    def test_requiretls_goes_to_the_server_that_knows_it(self):
        """RFC 8689 4.2.1: "with each host on the recipient domain's list of MX hosts in an attempt to find a mail path that
        meets the sender's requirements"."""
        self.hops["127.0.2.3"].offers = ["REQUIRETLS"]
        self.send("a@strict.signed.example", params=" REQUIRETLS", sealed=True)
        self.assertTrue(self.taken("127.0.2.3")[0][3])
        self.assertEqual(self.hops["127.0.2.1"].messages(), [])
        self.gone()

    def test_requiretls_that_no_server_knows(self):
        self.send("a@strict.signed.example", params=" REQUIRETLS", sealed=True)
        self.assertEqual(self.status_of_report(), "5.7.30")

    def test_dane_that_does_not_match(self):
        self.send("a@bad.signed.example")
        self.assertRegex(self.stays("127.0.2.1"), r"enhanced=4\.7\.")
        self.assertIn("DANE", self.d.wait_event("relay.tls-failed")[0] + self.d.events("queue.deferred")[0])

    def test_the_other_server_matches(self):
        """RFC 7672 2.2: a server that fails is passed by, the next one is tried."""
        self.send("a@spare.signed.example")
        self.assertTrue(self.taken("127.0.2.1")[0][3])
        self.assertIn("DANE", self.d.wait_event("queue.relayed")[0])
        self.gone()

    def test_a_lookup_that_fails_is_no_downgrade(self):
        """RFC 7672 2.1.1: not to know whether there are TLSA records must not mean that there are none."""
        self.send("a@lost.signed.example")
        self.stays("127.0.2.1")
        self.dns.change(silent=[])
        got = wait_until(lambda: self.hops["127.0.2.1"].messages(), 120)
        self.assertTrue(got[0][3])
        self.assertIn("DANE", self.d.wait_event("queue.relayed")[0])

    def test_forged_records_are_not_believed(self):
        """They fit the server that answers, and are not what was signed."""
        self.send("a@forged.signed.example")
        self.stays("127.0.2.1")

    def test_a_spoiled_answer_about_one_address_is_no_downgrade(self):
        """RFC 7672 2.2.2: the address that is proven is used, and its TLSA records are asked for all the same: whoever can
        spoil the answer to AAAA must not switch DANE off."""
        self.send("a@half.signed.example")
        self.assertRegex(self.stays("127.0.2.2"), r"enhanced=4\.7\.")

    def test_starttls_that_was_taken_away(self):
        self.send("a@clear.signed.example")
        self.assertRegex(self.stays("127.0.2.2"), r"enhanced=4\.7\.")
        self.assertIn("STARTTLS", self.d.wait_event("relay.tls-failed")[0])

    def test_without_records_clear_text_will_do(self):
        self.send("a@without.signed.example")
        self.assertFalse(self.taken("127.0.2.2")[0][3])
        self.gone()


if __name__ == "__main__":
    main()
