"""A name server with a signed zone, for tests: unbound serves what ldns-signzone has signed; nothing leaves the loopback."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess

from postern import PATIENCE, run, wait_until

SBIN = "/usr/sbin:/sbin:" + os.environ.get("PATH", "")


def why_not():
    for tool, package in (("unbound", "unbound"), ("ldns-signzone", "ldnsutils")):
        if not shutil.which(tool, path=SBIN):
            return f"{tool} is not installed (Debian: apt-get install {package})"
    return None


class Zone:
    """name: the zone. refuse: names below which the server answers nothing but REFUSED."""

    def __init__(self, where, name, records, refuse=()):
        self.dir = pathlib.Path(where)
        self.dir.mkdir()
        self.dir.chmod(0o755)
        self.name, self.records, self.refuse, self.p = name, records, refuse, None
        key = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name, cwd=self.dir).out.strip()
        self.anchor = self.dir / "anchor"
        shutil.copy(self.dir / f"{key}.key", self.anchor)
        self.key = key
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]

    def start(self, spoil=()):
        """spoil: (bytes, other bytes) pairs that are exchanged after the zone was signed."""
        text = f"$ORIGIN {self.name}.\n$TTL 60\n@ IN SOA ns root 1 60 60 600 60\n@ IN NS ns\nns IN A 127.0.0.1\n"
        (self.dir / "zone").write_text(text + "".join(f"{r}\n" for r in self.records))
        run("ldns-signzone", "-n", "zone", self.key, cwd=self.dir)  # NSEC3: absence is proven, too
        signed = (self.dir / "zone.signed").read_text()
        for old, new in spoil:
            assert old in signed, (old, signed)
            signed = signed.replace(old, new)
        (self.dir / "zone.signed").write_text(signed)
        refuse = "".join(f' local-zone: "{n}" always_refuse\n' for n in self.refuse)
        (self.dir / "unbound.conf").write_text(f'''server:
 interface: 127.0.0.1
 port: {self.port}
 username: ""
 chroot: ""
 directory: "{self.dir}"
 pidfile: ""
 use-syslog: no
 logfile: "{self.dir}/log"
 do-daemonize: no
 module-config: "iterator"
 access-control: 127.0.0.0/8 allow
{refuse}remote-control:
 control-enable: no
auth-zone:
 name: "{self.name}"
 zonefile: "{self.dir}/zone.signed"
 for-downstream: yes
 for-upstream: no
''')
        self.p = subprocess.Popen(["unbound", "-d", "-c", self.dir / "unbound.conf"], env=dict(os.environ, PATH=SBIN),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            """the name server"""
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        wait_until(answers)
        return self

    def stop(self):
        if self.p:
            self.p.terminate()
            self.p.wait(PATIENCE)
            self.p = None


def tlsa_3_1_1(chain):
    """The record's data for the certificate in that file."""
    key = run("openssl", "x509", "-in", chain, "-noout", "-pubkey").stdout
    der = run("openssl", "pkey", "-pubin", "-outform", "DER", input=key).stdout
    return "3 1 1 " + run("openssl", "dgst", "-sha256", "-r", input=der).out.split()[0]


def tlsa_2_0_1(ca):
    der = run("openssl", "x509", "-in", ca, "-outform", "DER").stdout
    return "2 0 1 " + run("openssl", "dgst", "-sha256", "-r", input=der).out.split()[0]
