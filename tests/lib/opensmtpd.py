"""An OpenSMTPD of its own. Its program knows absolute paths and account names, so it gets a mount namespace in which those
are there and its own: nothing of it is seen outside, only loopback is used. It need not be installed, only unpacked."""
import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ROOT = next((r for r in (pathlib.Path("/"), REPOSITORY / "build/beside") if (r / "usr/libexec/opensmtpd/mail.maildir").exists()), None)
UNSHARE = shutil.which("unshare")

# $1: what was unpacked; $2: our directory
INSIDE = r"""
set -e
mount --make-rprivate /
cp /etc/passwd "$2/passwd"; cp /etc/group "$2/group"
for n in 64998:opensmtpd 64999:opensmtpq; do
    i=${n%:*} u=${n#*:}
    grep -q "^$u:" "$2/passwd" || echo "$u:x:$i:$i::/nonexistent:/usr/sbin/nologin" >>"$2/passwd"
    grep -q "^$u:" "$2/group" || echo "$u:x:$i:" >>"$2/group"
done
mount --bind "$2/passwd" /etc/passwd
mount --bind "$2/group" /etc/group
libexec=$(mktemp -d "$2/libexec.XXXXXX")
chmod 755 "$libexec"
cp -a "$1/usr/libexec/opensmtpd" "$libexec/"
mount --bind "$libexec" /usr/libexec
for d in /var/spool /var/lib /run; do mount -t tmpfs -o mode=755 tmpfs $d; done
mkdir -m 711 /var/spool/smtpd
mkdir -p /var/lib/opensmtpd/empty
exec "$1/usr/sbin/smtpd" -d -f "$2/smtpd.conf"
"""


def why_not():
    """None, or the reason why there can be no OpenSMTPD here."""
    if os.geteuid() != 0:
        return "OpenSMTPD needs root"
    if not ROOT:
        return "OpenSMTPD is not there (.ci/install-deps beside)"
    if not UNSHARE or subprocess.run([UNSHARE, "-m", "true"], stderr=subprocess.DEVNULL).returncode:
        return "no mount namespace can be made here"
    if not pathlib.Path("/usr/libexec").is_dir() or "not found" in subprocess.run(
            ["ldd", ROOT / "usr/sbin/smtpd"], stdout=subprocess.PIPE).stdout.decode():
        return "a library that OpenSMTPD needs is not installed"
    return None


class PrivateOpensmtpd:
    """Takes mail for `domain` into Maildirs, with STARTTLS if chain and key are given."""

    def __init__(self, base, domain, account, chain=None, key=None, name="relay.example.net", users=("carol", "dora")):
        self.base, self.account = pathlib.Path(base), pwd.getpwnam(account)
        self.base.mkdir()
        os.chmod(self.base, 0o755)
        self.boxes = self.base / "boxes"
        self.boxes.mkdir()
        os.chown(self.boxes, self.account.pw_uid, self.account.pw_gid)
        with contextlib.closing(socket.socket()) as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        tls = f'pki hop cert "{chain}"\npki hop key "{key}"\n' if chain else ""
        recipients = ", ".join(f'"{u}@{domain}"' for u in users)
        (self.base / "smtpd.conf").write_text(
            f'{tls}listen on 127.0.0.1 port {self.port} {"tls pki hop" if chain else ""} hostname {name}\n'
            f'table boxes {{ {recipients} }}\n'
            f'action "store" maildir "{self.boxes}/%{{rcpt.user}}" virtual {{ "@" = {account} }}\n'
            f'match from any for domain "{domain}" rcpt-to <boxes> action "store"\n')
        self.proc = None

    def start(self, deadline=60):
        with open(self.base / "out", "ab") as out:
            self.proc = subprocess.Popen([UNSHARE, "-m", "sh", "-c", INSIDE, "sh", ROOT, self.base], stdin=subprocess.DEVNULL, stdout=out,
                                         stderr=out)
        end = time.monotonic() + deadline
        while True:
            with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", self.port), 5)):
                return self
            if self.proc.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"OpenSMTPD does not start:\n{self.log()}")
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

    def mail(self, user):
        return [p.read_bytes() for p in sorted((self.boxes / user / "new").glob("*"))]

    def log(self):
        return (self.base / "out").read_text(errors="replace") if (self.base / "out").exists() else ""
