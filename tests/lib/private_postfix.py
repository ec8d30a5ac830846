"""A Postfix of its own in a directory of its own: nothing of the system's configuration is read, nothing is started as a
service, only loopback is used. As a relay that sends to a postern, or as a server to be compared with."""
import grp
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import time

PROGRAM = shutil.which("postfix", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
MASTER_CF = ("/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf.proto", "/etc/postfix/master.cf")


def why_not():
    """None, or the reason why there can be no Postfix here."""
    if os.geteuid() != 0:
        return "Postfix wants root"
    if not PROGRAM:
        return "Postfix is not installed (Debian: apt-get install postfix)"
    return None


class PrivatePostfix:
    def __init__(self, base, settings, port=None):
        """settings: lines of main.cf by name. port: also receive there; otherwise it only sends."""
        self.base = pathlib.Path(base)
        self.etc, self.queue, self.data = (self.base / x for x in ("etc", "queue", "data"))
        self.log_file = self.base / "maillog"
        for p in (self.etc, self.queue, self.data):
            p.mkdir(parents=True)
        os.chown(self.data, pwd.getpwnam("postfix").pw_uid, -1)
        all_settings = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": self.data,
            "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix",
            "setgid_group": "postdrop", "myhostname": "relay.example.net", "mydestination": "",
            "inet_interfaces": "loopback-only", "inet_protocols": "ipv4", "alias_maps": "", "alias_database": "",
            "maillog_file": self.log_file, "maillog_file_prefixes": self.base}
        all_settings.update(settings)
        self.settings = all_settings
        self._write()
        (self.etc / "master.cf").write_text(self._services(port))

    def _write(self):
        new = self.etc / "main.cf.new"
        new.write_text("".join(f"{k} = {v}\n" for k, v in self.settings.items()))
        os.rename(new, self.etc / "main.cf")

    def change(self, **settings):
        """Other settings, for connections from now on."""
        self.settings.update(settings)
        self._write()
        if self.is_up():
            self._postfix("reload")

    def is_up(self):
        return subprocess.run([PROGRAM, "-c", self.etc, "status"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=120).returncode == 0

    @staticmethod
    def _services(port):
        text = next(pathlib.Path(p) for p in MASTER_CF if pathlib.Path(p).exists()).read_text()
        smtpd = f"127.0.0.1:{port} inet n - n - - smtpd\n" if port else ""
        text = re.sub(r"^smtp +inet.*\n(?:^\s+-o.*\n)*", smtpd, text, flags=re.M)
        text = re.sub(r"^(\S+ +(?:unix|unix-dgram|fifo|pass) +\S+ +\S+ +)y ", r"\1n ", text, flags=re.M)  # no chroot
        if not re.search(r"^postlog", text, re.M):
            text += "postlog unix-dgram n - n - 1 postlogd\n"
        return text

    def _postfix(self, word, check=True):
        done = subprocess.run([PROGRAM, "-c", self.etc, word], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"postfix {word}: {done.stdout.decode(errors='replace')}\n{self.log()}")

    def start(self):
        self._postfix("start")
        return self

    def start_at_once(self):
        """Without the scripts of postfix(1), which look whether an installation is whole and fork hundreds of times for it."""
        owner, group = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "pid", "private",
                     "public", "saved", "trace"):
            path, shared = self.queue / name, {"maildrop": 0o730, "public": 0o710}.get(name)
            path.mkdir()
            os.chown(path, 0 if name == "pid" else owner, group if shared else -1)
            path.chmod(shared or (0o755 if name == "pid" else 0o700))
        subprocess.run(["/usr/lib/postfix/sbin/master", "-w", "-c", self.etc], check=True, timeout=60)  # until it serves
        return self

    def stop_at_once(self):
        try:
            pid = self.pid()
            os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + 10
            while time.monotonic() < end:
                os.kill(pid, 0)
                time.sleep(0.02)
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass

    def stop(self):
        self._postfix("stop", check=False)

    def pid(self):
        return int((self.queue / "pid" / "master.pid").read_text())

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def send(self, message, to, sender="s@example.net"):
        subprocess.run(["/usr/sbin/sendmail", "-C", self.etc, "-f", sender, to], input=message, check=True, timeout=60)
