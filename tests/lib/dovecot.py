"""A Dovecot of its own in a directory of its own, without root's rights: a mail store that takes LMTP, and an authority on
passwords. Nothing of the system's configuration is read, nothing is started as a service, only loopback is used."""
import contextlib
import grp
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

PROGRAM = shutil.which("dovecot", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
LMTP = pathlib.Path("/usr/lib/dovecot/lmtp")

CONFIG = """
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
instance_name = postern-test
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
protocols = lmtp
listen = 127.0.0.1
ssl = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_debug = yes
mail_location = maildir:{base}/mail/%u
mail_plugins = quota
plugin {{
  quota = count:all
  quota_vsizes = yes
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {base}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {base}/users
}}
service anvil {{
  chroot =
  # no growing delays after wrong passwords: postern has its own
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


def why_not():
    """None, or the reason why there can be no Dovecot here."""
    if not PROGRAM or not LMTP.exists():
        return "Dovecot is not installed (Debian: apt-get install dovecot-core dovecot-lmtpd)"
    version = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    if not version.startswith("2.3."):
        return f"Dovecot {version.split(' ')[0]}: the configuration here is that of 2.3"
    return None


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class PrivateDovecot:
    """users: {"carol@away.test": "her password"} or (password, largest mailbox in bytes). account: whom it runs as."""

    def __init__(self, base, users, account, mechanisms="plain login scram-sha-256"):
        self.base, self.account, self.mechanisms = pathlib.Path(base), pwd.getpwnam(account), mechanisms
        self.port = free_port()
        self.lmtp, self.auth = self.base / "run" / "lmtp", self.base / "run" / "auth-client"
        self.proc = None
        for p in (self.base, self.base / "mail", self.base / "state"):
            p.mkdir()
            self._give(p)
        self.set_users(users)

    def _give(self, path):
        if os.geteuid() == 0:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def set_users(self, users):
        lines = []
        for name, secret in users.items():
            password, most = secret if isinstance(secret, tuple) else (secret, None)
            quota = f" userdb_quota_rule=*:bytes={most}" if most else ""
            lines.append(f"{name}:{{PLAIN}}{password}:{self.account.pw_uid}:{self.account.pw_gid}::{self.base}/mail/{name}::{quota}\n")
        new = self.base / "users.new"
        new.write_text("".join(lines))
        self._give(new)
        os.rename(new, self.base / "users")

    def start(self, deadline=60):
        conf = self.base / "dovecot.conf"
        conf.write_text(CONFIG.format(base=self.base, user=self.account.pw_name, group=grp.getgrgid(self.account.pw_gid).gr_name,
                                      mechanisms=self.mechanisms, port=self.port))
        rights = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with open(self.base / "out", "ab") as out:
            self.proc = subprocess.Popen([PROGRAM, "-F", "-c", conf], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                         start_new_session=True, **rights)
        end = time.monotonic() + deadline
        while not self._answers():
            if self.proc.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"Dovecot does not start:\n{self.log()}")
            time.sleep(0.05)
        return self

    def _answers(self):
        for path in (self.lmtp, self.auth):
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
                try:
                    s.connect(str(path))
                except OSError:
                    return False
        return True

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.proc.wait(3)
        self.kill()  # an auth process stays for half a minute while somebody is connected

    def kill(self):
        """All of it at once, without a word."""
        if self.proc:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
        self.proc = None

    def log(self):
        return "".join((self.base / p).read_text(errors="replace") for p in ("out", "log") if (self.base / p).exists())

    def mail(self, user):
        """The messages of that mailbox, as Dovecot has stored them."""
        return [p.read_bytes() for box in ("new", "cur") for p in sorted((self.base / "mail" / user / box).glob("*"))]
