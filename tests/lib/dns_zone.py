"""A name server of our own, with a signed and an unsigned zone: unbound, and ldns to sign. Only loopback is used."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

PATH = "/usr/sbin:/sbin:" + os.environ.get("PATH", "")
SERVER, SIGN, KEYGEN = (shutil.which(p, path=PATH) for p in ("unbound", "ldns-signzone", "ldns-keygen"))

CONFIG = """
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{base}"
  pidfile: ""
  use-syslog: no
  logfile: "{base}/log"
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  access-control: 127.0.0.0/8 allow
{silent}
remote-control:
  control-enable: no
"""


def why_not():
    """None, or the reason why there can be no signed zone here."""
    if not SERVER:
        return "unbound is not installed"
    if not SIGN or not KEYGEN:
        return "ldns-signzone is not installed (Debian: apt-get install ldnsutils)"
    return None


class NameServer:
    """zones: {"signed.example": "lines of records"}; those in `signed` are signed, their keys are in `anchor`.
    silent: names for which it answers REFUSED, which a resolver makes SERVFAIL of."""

    def __init__(self, base, zones, signed=(), silent=(), forge=()):
        self.base = pathlib.Path(base)
        self.base.mkdir()
        self.zones, self.silent, self.forge = dict(zones), list(silent), list(forge)
        self.anchor = self.base / "anchor"
        self.anchor.write_text("")
        self.keys = {zone: self._key(zone) for zone in signed}
        self.port = self._free_port()
        self.proc = None

    @staticmethod
    def _free_port():
        while True:
            with contextlib.closing(socket.socket()) as tcp, contextlib.closing(socket.socket(type=socket.SOCK_DGRAM)) as udp:
                tcp.bind(("127.0.0.1", 0))
                with contextlib.suppress(OSError):
                    udp.bind(tcp.getsockname())
                    return tcp.getsockname()[1]

    def _key(self, zone):
        name = subprocess.run([KEYGEN, "-a", "ECDSAP256SHA256", "-k", zone], cwd=self.base, check=True, stdout=subprocess.PIPE,
                              timeout=60).stdout.decode().strip()
        with open(self.anchor, "a") as f:
            f.write((self.base / f"{name}.key").read_text())
        return name

    def _write(self):
        text = CONFIG.format(port=self.port, base=self.base, silent="".join(f'  local-zone: "{s}" always_refuse\n' for s in self.silent))
        for zone, records in self.zones.items():
            head = f"$ORIGIN {zone}.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n"
            path = self.base / f"{zone}.zone"
            path.write_text(head + records)
            if zone in self.keys:
                subprocess.run([SIGN, "-o", zone, "-f", f"{path}.signed", path, self.keys[zone]], cwd=self.base, check=True, timeout=60)
                path = pathlib.Path(f"{path}.signed")
                signed = path.read_text()
                for right, wrong in self.forge:
                    assert right in signed.lower(), (right, signed)
                    signed = "".join(l.lower().replace(right, wrong) if right in l.lower() and "RRSIG" not in l else l
                                     for l in signed.splitlines(True))
                path.write_text(signed)
            text += f'auth-zone:\n  name: "{zone}"\n  zonefile: "{path}"\n  for-downstream: yes\n  for-upstream: no\n'
        (self.base / "unbound.conf").write_text(text)

    def start(self, deadline=60):
        self._write()
        with open(self.base / "out", "ab") as out:
            self.proc = subprocess.Popen([SERVER, "-d", "-c", self.base / "unbound.conf"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + deadline
        while True:
            with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", self.port), 5)):
                return self
            if self.proc.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"unbound does not start:\n{self.log()}")
            time.sleep(0.05)

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(30)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.proc = None

    def change(self, silent=None, forge=None):
        """Other answers from now on; what a resolver remembers is its own."""
        self.silent = self.silent if silent is None else silent
        self.forge = self.forge if forge is None else forge
        self.stop()
        self.start()

    def log(self):
        return "".join((self.base / p).read_text(errors="replace") for p in ("out", "log") if (self.base / p).exists())
