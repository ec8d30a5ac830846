"""What the end-to-end tests stand on: a daemon of their own in a directory of its own, certificates of every kind, a
raw SMTP client, Maildirs, and waiting by polling with a deadline. Debian's python3, standard library only."""
import contextlib
import glob
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

POSTERN = os.environ.get("POSTERN", "build/postern")
IS_ROOT = os.geteuid() == 0
IS_ASAN = "asan" in POSTERN
PATIENCE = 60 if IS_ASAN else 30
TEST_SECONDS = 480 if IS_ASAN else 240


# a decorator: the daemon's processes are not dumpable, so their memory, descriptors and limits are root's to see
looks_inside = unittest.skipUnless(IS_ROOT, "needs root: nobody else may look into the daemon's processes")


def has_ended(pid):
    """Gone, or waiting to be reaped, which a container's first process may never do."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(what, deadline=PATIENCE, every=0.02):
    """Polls what() until it is true and returns that; fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"nothing after {deadline} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(every)


def run(*argv, input=None, check=True, timeout=180, env=None, cwd=None):
    done = subprocess.run([str(a) for a in argv], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, env=env, cwd=cwd)
    done.out, done.err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode:
        raise AssertionError(f"{argv}: exit {done.returncode}\n{done.out}\n{done.err}")
    return done


class Ca:
    """A throw-away authority, by openssl(1). Times are in days from now and may be negative."""

    def __init__(self, where):
        self.dir = pathlib.Path(where)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.count = 0
        self.key, self.pem = self.dir / "ca-key.pem", self.dir / "ca.pem"
        if not self.pem.exists():
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                self.key, "-out", self.pem, "-days", "3650", "-subj", "/CN=test CA")

    def issue(self, chain, key, name="mx.example.test", kind="ec", eku="serverAuth", start=-1, end=90, passphrase=None,
              self_signed=False, digest="sha256"):
        """Writes chain (leaf) and key files, replacing them the way renewal tools do: new file, rename."""
        self.count += 1
        base = self.dir / f"work-{os.getpid()}-{self.count}"
        k, csr, crt, ext = (pathlib.Path(f"{base}.{x}") for x in ("key", "csr", "crt", "ext"))
        algo = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                "secp256k1": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
                "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                "rsa1024": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
                "ed25519": ["-algorithm", "ED25519"]}[kind]
        run("openssl", "genpkey", *algo, "-out", k)
        run("openssl", "req", "-new", "-key", k, "-subj", f"/CN={name}", "-out", csr)
        ext.write_text(f"basicConstraints=CA:FALSE\nextendedKeyUsage={eku}\nsubjectAltName=DNS:{name}\n")
        day = lambda d: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + d * 86400))
        db = pathlib.Path(f"{base}.db")
        db.mkdir()
        (db / "index").write_text("")
        (db / "cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={db}/index\nnew_certs_dir={db}\nrand_serial=yes\n"
            f"policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
        sign = ["-selfsign", "-keyfile", k] if self_signed else ["-cert", self.pem, "-keyfile", self.key]
        md = ["-md", digest] if kind != "ed25519" or not self_signed else ["-md", "default"]
        run("openssl", "ca", "-batch", "-config", db / "cnf", *sign, *md, "-in", csr, "-out", crt, "-notext",
            "-startdate", day(start), "-enddate", day(end), "-extfile", ext)
        if passphrase:
            run("openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", f"pass:{passphrase}", "-in", k, "-out", f"{k}.enc")
            os.rename(f"{k}.enc", k)
        if not self_signed:
            with open(crt, "ab") as f:
                f.write(self.pem.read_bytes())
        os.chmod(k, 0o600)
        os.rename(k, key)
        os.rename(crt, chain)


class Reply(str):
    """The text of a whole reply, lines joined by newline; .code is its number."""

    @property
    def code(self):
        return int(self[:3])


class Client:
    """SMTP as bytes: nothing is sent that the test did not write."""

    def __init__(self, port, host="127.0.0.1", tls=None, timeout=PATIENCE, name="mx.example.test", source=None):
        self.sock = socket.create_connection((host, port), timeout=timeout,
                                             source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.name = name
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def line(self):
        while b"\n" not in self.buf:
            got = self.sock.recv(65536)
            if not got:
                raise EOFError(f"closed by the server; before that: {self.buf!r}")
            self.buf += got
        line, self.buf = self.buf.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return Reply("\n".join(lines))

    def ask(self, command):
        self.send(command + "\r\n" if isinstance(command, str) else command + b"\r\n")
        return self.reply()

    def expect(self, command, code):
        got = self.reply() if command is None else self.ask(command)
        if got.code != code:
            raise AssertionError(f"{command!r}: wanted {code}, got {got!r}")
        return got

    def ended(self):
        """True when the server closed, cleanly or not, without another byte."""
        try:
            return self.buf == b"" and self.sock.recv(1) == b""
        except ConnectionError:
            return True

    def hello(self, name="client.example.test"):
        self.expect(None, 220)
        return self.expect(f"EHLO {name}", 250)

    def starttls(self, context=None):
        self.expect("STARTTLS", 220)
        self.sock = (context or trusting()).wrap_socket(self.sock, server_hostname=self.name)
        return self.sock

    def deliver(self, body, to=("alice@example.test",), sender="sender@example.net", params=""):
        self.expect(f"MAIL FROM:<{sender}>{params}", 250)
        for rcpt in to:
            self.expect(f"RCPT TO:<{rcpt}>", 250)
        reply = self.ask("DATA")
        if reply.code != 354:
            return reply  # refused before a byte of it was sent
        self.send(stuff(body))
        return self.reply()


def stuff(body):
    """A message as DATA wants it: CRLF, dots doubled, the end."""
    body = body.encode() if isinstance(body, str) else body
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    return b"".join((b"." + l if l.startswith(b".") else l) + b"\r\n" for l in lines) + b".\r\n"


def trusting():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def verifying(ca):
    return ssl.create_default_context(cafile=str(ca))


def user_for_tests():
    """As root the daemon's rights must be dropped to somebody: an account every Debian has."""
    for name in ("postern", "daemon", "nobody"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    raise AssertionError("no account to drop rights to")


class Daemon:
    """One postern in a temporary directory. Options go into the file as given: Daemon(options={"workers": "2"})."""

    def __init__(self, options=None, listeners=None, domain=None, extra="", start=True, cert=True, run_as=None, prefix="postern-",
                 lab=True, base=None, chown=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        os.chmod(self.dir, 0o755)
        self.ca = Ca(self.dir / "ca")
        self.chain, self.key = self.dir / "cert.pem", self.dir / "key.pem"
        self.conf, self.ports_file = self.dir / "postern.conf", self.dir / "ports"
        self.log_file = self.dir / "log"
        self.state = self.dir / "state"
        self.mail = self.dir / "mail"
        self.options = {"workers": "2"}
        self.options.update(options or {})
        self.listeners = listeners if listeners is not None else {
            "mx": {"tls": "starttls"}, "implicit": {"tls": "implicit"}, "plain": {"tls": "off"}}
        self.domain = domain or 'domain "example.test" { mailboxes = {"alice", "bob"} aliases = {"postmaster=alice"} deliver = "local" }'
        self.extra, self.lab, self.run_as = extra, lab, run_as
        self.delivery = ""  # more options of the delivery section
        self.certificates = {"mx": (self.chain, self.key)} if cert else {}
        self.proc = None
        self.mail.mkdir()
        if cert:
            self.ca.issue(self.chain, self.key)
        if run_as:
            for p in (self.dir, self.mail, self.chain, self.key):
                os.chown(p, pwd.getpwnam(run_as).pw_uid, -1)
        elif IS_ROOT:
            os.chown(self.mail, pwd.getpwnam(chown or user_for_tests()).pw_uid, -1)
        self.write()
        if start:
            self.start()

    def write(self):
        """The configuration, from the attributes as they are now."""
        lines = ['hostname = "mx.example.test"', f'state-dir = "{self.state}"']
        if self.lab:
            lines.append("lab = yes")
        if IS_ROOT and not self.run_as and "user" not in self.options:
            lines.append(f'user = "{user_for_tests()}"')
        lines += [f"{k} = {v}" for k, v in self.options.items()]
        lines += [f'certificate "{t}" {{ chain = "{c}" key = "{k}" }}' for t, (c, k) in self.certificates.items()]
        for title, opts in self.listeners.items():
            opts = dict({"address": '{"127.0.0.1:0"}', "role": "mx"}, **opts)
            lines.append(f'listener "{title}" {{ ' + " ".join(f"{k} = {v}" for k, v in opts.items()) + " }")
        lines.append(self.domain)
        lines.append(f'delivery "local" {{ type = maildir path = "{self.mail}/%d/%u" {self.delivery} }}')
        lines.append(self.extra)
        tmp = self.conf.with_suffix(".new")
        tmp.write_text("\n".join(lines) + "\n")
        os.rename(tmp, self.conf)

    def argv(self, *words):
        return [POSTERN, *map(str, words)]

    def environment(self):
        # the test's authority is one that the system trusts: what is served is warned about only where a test wants that
        return dict(os.environ, SSL_CERT_FILE=str(self.ca.pem), ASAN_OPTIONS=f"log_path={self.dir}/asan:detect_leaks=1:log_exe_name=1:quarantine_size_mb=4",
                    UBSAN_OPTIONS=f"print_stacktrace=1:halt_on_error=1:log_path={self.dir}/ubsan")

    def start(self, wait=True):
        self.ports_file.unlink(missing_ok=True)
        self.log = open(self.log_file, "ab")
        kwargs = {}
        if self.run_as:
            p = pwd.getpwnam(self.run_as)
            kwargs = {"user": p.pw_uid, "group": p.pw_gid, "extra_groups": []}
        self.proc = subprocess.Popen(self.argv("run", "-c", self.conf, "--ports-file", self.ports_file),
                                     stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.environment(), **kwargs)
        if wait:
            def ready():
                if self.proc.poll() is not None:
                    raise AssertionError(f"the daemon ended with {self.proc.returncode}:\n{self.log_text()}")
                return self.ports_file.exists()
            wait_until(ready)
        return self

    def port(self, listener="mx"):
        def found():
            for line in self.ports_file.read_text().splitlines():
                name, address = line.rsplit(" ", 1)
                if name == listener:
                    return int(address.rsplit(":", 1)[1])
            return None
        return wait_until(found)

    def has_port(self, listener):
        return any(l.rsplit(" ", 1)[0] == listener for l in self.ports_file.read_text().splitlines())

    def client(self, listener="mx", **kw):
        return Client(self.port(listener), **kw)

    def log_text(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def events(self, name):
        return [l for l in self.log_text().splitlines() if f"event={name} " in l + " "]

    def wait_event(self, name, having="", count=1):
        return wait_until(lambda: len([e for e in self.events(name) if having in e]) >= count and
                          [e for e in self.events(name) if having in e])

    def command(self, *words, check=False, timeout=60):
        return run(*self.argv(words[0], "-c", self.conf, *words[1:]), check=check, timeout=timeout, env=self.environment())

    def why(self, listener=None):
        done = self.command("why", "--json")
        if done.returncode not in (0, 1, 2):
            raise AssertionError(f"why: exit {done.returncode}: {done.out} {done.err}")
        report = {l["listener"]: l for l in json.loads(done.out)["listeners"]}
        return report[listener] if listener else report

    def status(self):
        return json.loads(self.command("status", "--json", check=True).out)

    def pids(self, role):
        """Of the active generation's processes in this role (supervisor, leader, store, worker)."""
        return [p["pid"] for p in self.status()["processes"] if p["role"].split()[0] == role]

    def kill(self, pid, sig=signal.SIGKILL):
        os.kill(pid, sig)

    def reload(self):
        return self.command("reload")

    def offers(self, listener="mx"):
        with self.client(listener) as c:
            return "STARTTLS" in c.hello()

    def messages(self, mailbox="alice", domain="example.test"):
        found = [pathlib.Path(p) for p in glob.glob(str(self.mail / domain / mailbox / "new" / "*"))]
        # in the order of delivery: the numbers of <time>.M<us>P<pid>Q<n> have no leading zeros
        return sorted(found, key=lambda p: [int(n) for n in re.findall(r"\d+", p.name.split("P")[0])] + [p.name])

    def bodies(self, mailbox="alice", domain="example.test"):
        """What the peer sent, below our own header fields."""
        return [below_ours(p.read_bytes()) for p in self.messages(mailbox, domain)]

    def stop(self, sig=signal.SIGTERM):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.proc.wait(PATIENCE)
            if self.proc.poll() is None:
                self.proc.kill()
                self.proc.wait()
        if self.proc:
            self.log.close()
        return self.proc.returncode if self.proc else None

    def reports(self):
        return "".join(pathlib.Path(p).read_text(errors="replace") for p in
                       glob.glob(f"{self.dir}/asan*") + glob.glob(f"{self.dir}/ubsan*"))

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def below_ours(message):
    """Cuts Return-Path and the topmost Received, which are ours."""
    lines = message.split(b"\n")
    i = 0
    for field in (b"Return-Path:", b"Received:"):
        assert lines[i].startswith(field), message[:300]
        i += 1
        while lines[i][:1] in (b" ", b"\t"):
            i += 1
    return b"\n".join(lines[i:])


def _took_too_long(signum, frame):
    raise AssertionError(f"this test took longer than {TEST_SECONDS} s")


class DaemonTest(unittest.TestCase):
    """Daemons started by self.daemon(...) are stopped at the end; a failing test shows their logs."""

    maxDiff = None

    def run(self, result=None):
        signal.signal(signal.SIGALRM, _took_too_long)
        signal.alarm(TEST_SECONDS)
        try:
            return super().run(result)
        finally:
            signal.alarm(0)

    def daemon(self, **kw):
        d = Daemon(start=False, **kw)
        self.addCleanup(self._end, d)
        if kw.get("start", True):
            d.start()
        return d

    def prepared(self, **kw):
        """A daemon not started yet."""
        d = Daemon(start=False, **kw)
        self.addCleanup(self._end, d)
        return d

    def _end(self, d):
        d.stop()
        reports = d.reports()
        r = self._outcome.result
        failed = any(getattr(t, "test_case", t) is self for t, _ in r.failures + r.errors)
        if failed or reports:
            print(f"---- {self.id()}: log of the daemon\n{d.log_text()[-6000:]}\n{reports[:6000]}", flush=True)
        d.remove()
        if reports:
            raise AssertionError("sanitizer report, see above")


def main():
    """Instead of unittest.main(): ends with the line that tests/run.py counts."""
    class Result(unittest.TextTestResult):
        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            print(f"SKIP {test.id()}: {reason}", flush=True)

    module = sys.modules["__main__"]
    names = sys.argv[1:]
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    r = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    bad = len(r.failures) + len(r.errors)
    skipped = len(r.skipped)
    print(f"RESULT {r.testsRun - bad - skipped} passed, {bad} failed, {skipped} skipped", flush=True)
    sys.exit(1 if bad else 0)
