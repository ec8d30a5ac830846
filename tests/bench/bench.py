#!/usr/bin/env python3
"""Measures postern on loopback and prints the figures beside what they should be, and beside Postfix where it is installed.

    tests/bench/bench.py --build build [--rounds 3] [--only WORD] [--dir DIR] [--json FILE] [--quick]

Each figure is the median of several rounds. CPU is user + system of all processes of the server (kernel threads are
not among them), from before the first connection until the last file is in place. Exit status: not 0 only when
something did not work; a missed figure is shown, never judged."""
import argparse
import contextlib
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
sys.dont_write_bytecode = True
TICK = os.sysconf("SC_CLK_TCK")


# ---- what processes cost

def family(root):
    """{pid: fields of /proc/PID/stat} of root and everything below it."""
    stats = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                text = pathlib.Path(f"/proc/{entry}/stat").read_text()
                stats[int(entry)] = text.rsplit(")", 1)[1].split()
    children = {}
    for pid, f in stats.items():
        children.setdefault(int(f[1]), []).append(pid)
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid in stats and pid not in found:
            found[pid] = stats[pid]
            todo += children.get(pid, [])
    return found


def cpu(root):
    """User + system seconds, those of children that ended included."""
    return sum(sum(map(int, f[11:15])) for f in family(root).values()) / TICK


def pss(root):
    """KiB that belong to the family: shared pages divided among those who share them."""
    total = 0
    for pid in family(root):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def filesystem(path):
    best = ("", "?", "?")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        device, where, kind = line.split()[:3]
        if (str(path) + "/").startswith(where.rstrip("/") + "/") and len(where) > len(best[0]):
            best = (where, kind, device)
    return best


def wait_for(what, seconds=60, pause=0.005):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise RuntimeError("nothing after %d s: %s" % (seconds, what.__doc__))
        time.sleep(pause)


# ---- the servers under test: .name, .port(listener), .pid(), .delivered(), .clean(), .stop()

class Postern:
    name = "postern"

    def __init__(self, binary, base, onward=None):
        os.environ["POSTERN"] = str(binary)
        import postern
        more = {}
        if onward:
            more = {"listeners": {"mx": {"tls": "off", "relay-from": '{"127.0.0.0/8"}'}}, "extra": f'''
delivery "out" {{ type = smtp address = "127.0.0.1:{onward}" }}
relay {{ delivery = "out" }}
'''}
        self.d = postern.Daemon(base=str(base), lab=False, start=False,
                                options={"workers": "0", "max-messages-per-session": "1000000"}, **more)
        self.d.start()

    def port(self, listener):
        return self.d.port(listener)

    def pid(self):
        return self.d.proc.pid

    def new(self):
        return self.d.mail / "example.test" / "alice" / "new"

    def has_queued(self):
        with os.scandir(self.d.state / "queue") as entries:
            return any(not e.name.startswith(".") for e in entries)

    def stop(self):
        self.d.stop()
        self.d.remove()


class Postfix:
    name = "Postfix"

    def __init__(self, base, onward=None):
        import postern
        import private_postfix
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postfix-", dir=base))
        os.chmod(self.dir, 0o755)
        ca = postern.Ca(self.dir / "ca")
        chain, key = self.dir / "cert.pem", self.dir / "key.pem"
        ca.issue(chain, key)
        self.mail = self.dir / "mail"
        self.mail.mkdir()
        nobody = pwd.getpwnam("nobody")
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        with socket.socket() as s:  # Postfix cannot report a port of its own choice
            s.bind(("127.0.0.1", 0))
            self.number = s.getsockname()[1]
        self.p = private_postfix.PrivatePostfix(self.dir / "instance", {
            "mynetworks": "127.0.0.0/8", "virtual_mailbox_domains": "example.test", "virtual_mailbox_base": self.mail,
            "virtual_mailbox_maps": "inline:{ {alice@example.test = alice/} }",
            "virtual_uid_maps": f"static:{nobody.pw_uid}", "virtual_gid_maps": f"static:{nobody.pw_gid}",
            "smtpd_peername_lookup": "no",  # no time lost in DNS: postern asks nobody either
            "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": chain, "smtpd_tls_key_file": key,
            **({"relayhost": f"[127.0.0.1]:{onward}"} if onward else {})}, self.number)
        self.p.start()

    def port(self, listener):
        return self.number

    def pid(self):
        return self.p.pid()

    def new(self):
        return self.mail / "alice" / "new"

    def has_queued(self):
        """Looks no further than the first file: who is asked often must not cost much."""
        return any(files for name in ("active", "incoming", "deferred", "maildrop") for _, _, files in os.walk(self.p.queue / name))

    def stop(self):
        self.p.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Sink:
    """Postfix's smtp-sink: takes everything, keeps nothing. It costs the same on both sides."""
    name = "smtp-sink"

    def __init__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.p = subprocess.Popen(["smtp-sink", *user, f"127.0.0.1:{self.port}", "1000"], stderr=subprocess.DEVNULL,
                                  env=dict(os.environ, PATH="/usr/sbin:" + os.environ["PATH"]))

        def listens():
            """the sink"""
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return True
        wait_for(listens)

    def stop(self):
        self.p.kill()
        self.p.wait()


class BenchSink:
    """postern-bench sink."""
    name = "postern-bench"

    def __init__(self, build, base):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sink-", dir=base))
        words = ["sink", "--catalogue", HERE.parents[1] / "conf" / "bench", "--pki", self.dir / "pki", "--json"]
        self.p = subprocess.Popen([str(build / "postern-bench"), *map(str, words)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline().rsplit(":", 1)[1])

    def stop(self):
        self.p.terminate()
        self.p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def count(directory):
    try:
        with os.scandir(directory) as entries:
            return sum(1 for _ in entries)
    except FileNotFoundError:
        return 0


def settle():
    """What is still to be written belongs to nobody's figure."""
    os.sync()


# ---- the figures

class Bench:
    def __init__(self, args, base):
        self.args, self.base = args, base
        self.build = pathlib.Path(args.build)
        self.rows, self.problems, self.raw = [], [], {}
        self.servers = []

    def loadgen(self, server, listener, *words, seconds=120, allow=()):
        """Runs it, returns its JSON; refusals are a problem of the run."""
        argv = [self.build / "bench" / "loadgen", "--connect", f"127.0.0.1:{server.port(listener)}", "--json",
                "--seconds", seconds, *words]
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds + 60)
        if done.returncode == 64 or not done.stdout.startswith(b"{"):
            raise RuntimeError(f"loadgen: {done.stderr.decode()}")
        out = json.loads(done.stdout)
        if out["failures"] or not out["finished"]:
            self.problems.append(f"{server.name}: {' '.join(map(str, words))}: finished={out['finished']} {out['failures']}")
        return out

    def mail(self, server, listener, *words):
        """One round: CPU per 1,000 messages, until everything is in new/. Mail stays until the end of the run: ext4 is
        slow where files were removed in the last minutes, and that would be measured in the round behind."""
        settle()
        there, before = count(server.new()), cpu(server.pid())
        out = self.loadgen(server, listener, *words)
        wait_for(lambda: count(server.new()) - there >= out["messages"], pause=0.1)
        out["cpu"] = (cpu(server.pid()) - before) / max(1, out["messages"]) * 1000
        out["tick"] = 1000 / TICK / max(1, out["messages"])  # how coarse the clock of the kernel makes this
        if count(server.new()) - there != out["messages"]:
            self.problems.append(f"{server.name}: {out['messages']} acknowledged, {count(server.new()) - there} in new/")
        return out

    def rounds(self, name, once):
        """The medians of the numbers that once() returns, and their spread."""
        runs = []
        for i in range(self.args.rounds):
            runs.append(once())
            print(f"  {name}, round {i + 1} of {self.args.rounds}", file=sys.stderr, flush=True)
        self.raw[name] = runs
        return runs

    @staticmethod
    def median(runs, *path):
        values = []
        for r in runs:
            for key in path:
                r = r[key]
            values.append(r)
        return statistics.median(values)

    def row(self, what, value, unit, target=None, met=None, beside=None, form="%.2f"):
        self.rows.append((what, form % value + unit, target or "", "" if met is None else "met" if met else "missed",
                          beside or ""))

    # -- cases. Each is given postern and, perhaps, Postfix.

    def beside(self, name, postfix, listener, *words):
        return self.rounds(f"Postfix {name}", lambda: self.mail(postfix, listener, *words)) if postfix else None

    def case_clear16(self, p, x):
        words = ("--sessions", 16, "--messages", 20, "--repeat", self.args.scale * 20)
        a = self.rounds("clear 16 x 20", lambda: self.mail(p, "mx", *words))
        b = self.beside("clear 16 x 20", x, "mx", "--sessions", 16, "--messages", 20, "--repeat", self.args.scale * 5)
        v = self.median(a, "cpu")
        self.row("16 sessions x 20, 4 KiB, in clear: CPU s per 1,000", v, "", "at most 0.20", v <= 0.20,
                 b and "%.2f (%.1f x)" % (self.median(b, "cpu"), self.median(b, "cpu") / v), "%.3f")
        self.row("  messages per second", self.median(a, "rate"), "/s", None, None, b and "%.0f/s" % self.median(b, "rate"), "%.0f")

    def case_clear64(self, p, x):
        words = ("--sessions", 64, "--messages", 20, "--repeat", self.args.scale * 10)
        a = self.rounds("clear 64 x 20", lambda: self.mail(p, "mx", *words))
        b = self.beside("clear 64 x 20", x, "mx", "--sessions", 64, "--messages", 20, "--repeat", self.args.scale * 2)
        rate, p50, p99 = self.median(a, "rate"), self.median(a, "ackMs", "p50"), self.median(a, "ackMs", "p99")
        least = 4 * self.median(b, "rate") if b else 6400
        self.row("64 sessions x 20, 4 KiB, in clear: messages per second", rate, "/s",
                 f"at least {least:.0f} (4 x Postfix)", rate >= least,
                 b and "%.0f/s (1/%.1f)" % (self.median(b, "rate"), rate / self.median(b, "rate")), "%.0f")
        self.row("  ack of the final dot, p50", p50, " ms", "at most 8", p50 <= 8, b and "%.1f ms" % self.median(b, "ackMs", "p50"), "%.1f")
        self.row("  ack of the final dot, p99", p99, " ms", "at most 18", p99 <= 18, b and "%.1f ms" % self.median(b, "ackMs", "p99"), "%.1f")
        self.row("  CPU s per 1,000", self.median(a, "cpu"), "", None, None, b and "%.2f" % self.median(b, "cpu"), "%.3f")

    def case_large(self, p, x):
        words = ("--sessions", 16, "--messages", 5, "--size", 1 << 20)
        a = self.rounds("1 MiB", lambda: self.mail(p, "mx", *words, "--repeat", self.args.scale * 3))
        b = self.beside("1 MiB", x, "mx", *words, "--repeat", self.args.scale)
        v = self.median(a, "cpu")
        self.row("16 sessions, 1 MiB, in clear: CPU s per 1,000", v, "", "at most 4", v <= 4,
                 b and "%.2f (%.1f x)" % (self.median(b, "cpu"), self.median(b, "cpu") / v))
        self.row("  MiB per second", self.median(a, "rate"), "", None, None, b and "%.0f" % self.median(b, "rate"), "%.0f")

    def case_starttls(self, p, x):
        words = ("--sessions", 16, "--starttls", "--per-connection", "--sources", 20)
        a = self.rounds("STARTTLS per message", lambda: self.mail(p, "mx", *words, "--messages", self.args.scale * 100))
        b = self.beside("STARTTLS per message", x, "mx", *words, "--messages", self.args.scale * 25)
        v = self.median(a, "cpu")
        self.row("one message per connection, STARTTLS: CPU s per 1,000", v, "", "at most 0.7", v <= 0.7,
                 b and "%.2f (%.1f x)" % (self.median(b, "cpu"), self.median(b, "cpu") / v), "%.3f")
        self.row("  messages per second", self.median(a, "rate"), "/s", None, None, b and "%.0f/s" % self.median(b, "rate"), "%.0f")

    def case_handshake(self, p, x):
        words = ("--sessions", 16, "--implicit", "--handshake-only", "--repeat", self.args.scale * 125, "--sources", 20)

        def ours():
            before = cpu(p.pid())
            out = self.loadgen(p, "implicit", *words)
            wait_for(lambda: p.d.status()["counters"]["connectionsNow"] == 0)
            return {"cpu": (cpu(p.pid()) - before) / max(1, out["sessions"]) * 1000, "rate": out["rate"]}

        def bare():
            loop = subprocess.Popen([self.build / "bench" / "accept_loop", p.d.chain, p.d.key],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                class Bare:
                    name, port = "accept_loop", staticmethod(lambda listener, n=int(loop.stdout.readline()): n)
                out = self.loadgen(Bare, "", *words)
                loop.stdin.close()
                return {"cpu": float(loop.stdout.read().split()[2]) / max(1, out["sessions"]) * 1000, "rate": out["rate"]}
            finally:
                loop.kill()
                loop.wait()
        base = self.rounds("bare accept loop", bare)
        a = self.rounds("handshake", ours)
        v, least = self.median(a, "cpu"), self.median(base, "cpu")
        self.row("a TLS 1.3 handshake alone: CPU ms", v, "", f"at most {1.3 * least:.3f} (1.3 x a bare loop)", v <= 1.3 * least,
                 f"bare loop {least:.3f} (x {v / least:.2f})", "%.3f")

    def case_alone(self, p, x):
        for listener, mode, words in (("mx", "in clear", ()), ("mx", "STARTTLS", ("--starttls",)), ("implicit", "implicit TLS", ("--implicit",))):
            a = self.rounds(f"one client, {mode}", lambda: self.loadgen(
                p, listener, "--sessions", 1, "--messages", 50 * self.args.scale, "--lockstep", *words))
            gaps = max(r["replyMs"]["from40"] for r in a)
            worst, p50 = self.median(a, "replyMs", "max"), self.median(a, "ackMs", "p50")
            self.row(f"one client at a time, {mode}: longest reply to a command", worst, " ms", "no 40 ms gap",
                     gaps == 0 and p50 < 38, f"ack p50 {p50:.1f} ms")

    def case_idle(self, p, x):
        n = self.args.idle
        for mode, listener, words, limit in (("in clear", "mx", (), 2), ("with TLS", "mx", ("--starttls",), 18)):
            before = pss(p.pid())
            g = subprocess.Popen([str(a) for a in (self.build / "bench" / "loadgen", "--connect", f"127.0.0.1:{p.port(listener)}",
                                  "--json", "--hold", n, "--probes", 200, "--wait", "--sources", 20, "--seconds", 180, *words)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                held = int(g.stdout.readline().split()[1])
                if held != n:
                    self.problems.append(f"idle {mode}: only {held} of {n} connections are held")
                grown = pss(p.pid()) - before
                g.stdin.write("\n\n")
                g.stdin.flush()
                out = json.loads(g.stdout.readline())
            finally:
                g.kill()
                g.wait()
            self.raw[f"idle {mode}"] = dict(out, grown=grown)
            each = grown / max(1, held)
            self.row(f"{held} idle connections {mode}: KiB each", each, "", f"at most {limit}", each <= limit)
            b = out["probeBannerMs"]
            self.row("  banner of a new one, p99", b["p99"], " ms", "within milliseconds", b["p99"] < 10 and b["count"] > 0)
            wait_for(lambda: p.d.status()["counters"]["connectionsNow"] == 0)

    def case_trickle(self, p, x):
        seconds = max(4, self.args.scale)
        for where in ("command", "data"):
            ratios = []

            def once():
                settle()
                words = ("--sessions", 16, "--messages", 0)
                before = self.loadgen(p, "mx", *words, seconds=seconds)["rate"]
                during = self.loadgen(p, "mx", *words, "--trickle", 500, "--trickle-in", where, seconds=seconds + 2)
                return {"ratio": during["rate"] / before * 100, "before": before, "ends": during["trickleEnds"]}
            a = self.rounds(f"500 clients drip in {'a command' if where == 'command' else 'DATA'}", once)
            v = self.median(a, "ratio")
            self.row(f"500 clients send a byte a second in {'a command' if where == 'command' else 'DATA'}: throughput of others",
                     v, " %", "at least 90 %", v >= 90, "before: %.0f/s" % self.median(a, "before"), "%.0f")

    def onward(self, server, *words):
        """Taken into the queue, and out of it: from the first connection until nothing is left there."""
        settle()
        before, begin = cpu(server.pid()), time.monotonic()
        out = self.loadgen(server, "mx", "--to", "out@remote.test", *words, seconds=600)
        taken = time.monotonic() - begin

        def empty():
            """the queue is not empty"""
            return not server.has_queued()
        wait_for(empty, seconds=600, pause=0.02)
        out["seconds"] = time.monotonic() - begin
        out["through"] = out["messages"] / out["seconds"]
        out["taken"] = out["messages"] / taken
        out["cpu"] = (cpu(server.pid()) - before) / max(1, out["messages"]) * 1000
        return out

    def through(self, what, ours, other, *words):
        a = self.rounds(what, lambda: self.onward(ours, *words))
        b = other and self.rounds(f"Postfix, {what}", lambda: self.onward(other, *words))
        v, rate = self.median(a, "cpu"), self.median(a, "through")
        least = b and 5 * self.median(b, "through")
        most = b and self.median(b, "cpu") / 3
        self.row(f"{self.median(a, 'messages'):.0f} x 4 KiB through the queue to a sink, {what}: messages per second", rate, "/s",
                 b and f"at least {least:.0f} (5 x Postfix)", b and rate >= least,
                 b and "%.0f/s (1/%.1f)" % (self.median(b, "through"), rate / self.median(b, "through")), "%.0f")
        self.row("  taken into the queue, messages per second", self.median(a, "taken"), "/s", None, None,
                 b and "%.0f/s" % self.median(b, "taken"), "%.0f")
        self.row("  CPU s per 1,000", v, "", b and "at most %.3f (1/3 of Postfix)" % most, b and v <= most,
                 b and "%.2f (%.1f x)" % (self.median(b, "cpu"), self.median(b, "cpu") / v), "%.3f")

    # -- what takes mail and keeps nothing: ours, and Postfix's

    def poured(self, sink, load):
        """One round: CPU of the server alone, as the kernel counts it for its pid."""
        before = cpu(sink.p.pid)
        out = load(sink)
        out["cpu"] = (cpu(sink.p.pid) - before) / max(1, out["messages"]) * 1000
        return out

    def by_loadgen(self, *words):
        def load(sink):
            class At:
                name, port = sink.name, staticmethod(lambda listener: sink.port)
            return self.loadgen(At, "", *words)
        return load

    @staticmethod
    def by_source(messages, *words):
        """Postfix's own load generator: one message for each connection, or (-d) all in as many as there are sessions."""
        def load(sink):
            begin = time.monotonic()
            subprocess.run(["smtp-source", "-s", "16", "-l", "4096", "-m", str(messages), *words, f"127.0.0.1:{sink.port}"], check=True,
                           timeout=300, env=dict(os.environ, PATH="/usr/sbin:" + os.environ["PATH"]))
            return {"messages": messages, "rate": messages / (time.monotonic() - begin)}
        return load

    def against(self, what, load, ours, theirs):
        """Round by round in turns, so that both have the machine as it is."""
        runs = {s: [] for s in (ours, theirs) if s}
        for i in range(self.args.rounds):
            for s in runs:
                runs[s].append(self.poured(s, load))
            print(f"  sink, {what}, round {i + 1} of {self.args.rounds}", file=sys.stderr, flush=True)
        self.raw[f"sink, {what}"] = {s.name: r for s, r in runs.items()}
        v = self.median(runs[ours], "cpu")
        w = theirs and self.median(runs[theirs], "cpu")
        self.row(f"sink, {what}: messages per CPU second", 1000 / v, "", w and "at least %.0f (smtp-sink)" % (1000 / w), w and v <= w,
                 w and "%.0f (%.2f x)" % (1000 / w, w / v), "%.0f")
        self.row("  CPU s per 1,000", v, "", None, None, w and "%.4f" % w, "%.4f")
        self.row("  messages per second", self.median(runs[ours], "rate"), "/s", None, None,
                 w and "%.0f/s" % self.median(runs[theirs], "rate"), "%.0f")

    def case_sink(self, p, x):
        ours, theirs = BenchSink(self.build, self.base), None
        path = "/usr/sbin:" + os.environ["PATH"]
        n = self.args.scale
        try:
            if shutil.which("smtp-sink", path=path):
                theirs = Sink()
            else:
                self.problems.append("sink: smtp-sink is not installed (Debian: postfix)")
            single = ("--sessions", 16, "--per-connection", "--sources", 20)
            self.against("16 x 20 by loadgen", self.by_loadgen("--sessions", 16, "--messages", 20, "--repeat", n * 40), ours, theirs)
            self.against("one per connection by loadgen", self.by_loadgen(*single, "--messages", n * 200), ours, theirs)
            if theirs:
                self.against("16 sessions by smtp-source -d", self.by_source(n * 8000, "-d"), ours, theirs)
                self.against("one per connection by smtp-source", self.by_source(n * 2000), ours, theirs)
            for what, more in (("full", ()), ("resumed", ("--resume",))):
                for each, words in ((1, (*single, "--messages", n * 40)),
                                    (20, ("--sessions", 16, "--messages", 20, "--repeat", n * 10))):
                    self.in_tls(f"{what} handshakes, {each} each", self.by_loadgen("--starttls", *more, *words), ours)
        finally:
            ours.stop()
            if theirs:
                theirs.stop()

    def in_tls(self, what, load, ours):
        a = self.rounds(f"sink, STARTTLS, {what}", lambda: self.poured(ours, load))
        self.row(f"sink, STARTTLS, {what}: messages per CPU second", 1000 / self.median(a, "cpu"), "", None, None,
                 "%.0f handshakes/s" % statistics.median(r["rate"] / r["messages"] * r["sessions"] for r in a), "%.0f")
        self.row("  CPU s per 1,000", self.median(a, "cpu"), "", None, None,
                 "%.0f %% resumed" % statistics.median(100 * r["resumed"] / r["sessions"] for r in a), "%.3f")

    def case_onward(self, p, x):
        if not shutil.which("smtp-sink", path="/usr/sbin:" + os.environ["PATH"]):
            self.problems.append("onward: smtp-sink is not installed (Debian: postfix)")
            return
        sink = Sink()
        ours = Postern(self.build / "postern", self.base, onward=sink.port)
        other = None
        try:
            if x:
                other = Postfix(self.base, onward=sink.port)
            repeat = max(1, self.args.onward // 400)
            words = ("--sessions", 16, "--messages", 25, "--repeat", repeat)
            self.through("16 sessions x 25", ours, other, *words)
            self.through("one per connection", ours, other, *words, "--per-connection", "--sources", 20)
        finally:
            if other:
                other.stop()
            if self.problems:
                print(ours.d.log_text()[-2000:], file=sys.stderr)
            ours.stop()
            sink.stop()

    def generator(self):
        argv = [str(self.build / "bench" / "loadgen"), "--sink", "--json", "--sessions", "16", "--messages", "20", "--repeat", "200"]
        out = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=120).stdout)
        return "the generator alone, against a sink in its own process: %.0f messages/s, %.3f CPU ms each" % (
            out["rate"], out["generatorCpu"] * 1000 / out["messages"])

    def run(self):
        import private_postfix
        where, kind, device = filesystem(self.base)
        print(f"machine     {os.cpu_count()} CPUs, Linux {os.uname().release}")
        print(f"mail on     {kind} ({device} at {where})" + ("" if kind != "tmpfs" else "  NOT DURABLE: tmpfs; --dir DIR chooses another place"))
        print(f"generator   {self.generator()}", flush=True)
        p = Postern(self.build / "postern", self.base)
        x, no = None, private_postfix.why_not()
        try:
            if self.args.no_postfix:
                no = "--no-postfix"
            if not no:
                x = Postfix(self.base)
            print("beside it   " + (f"nothing: {no}" if no else "Postfix, Debian's defaults, receiving to a Maildir by virtual(8)"), flush=True)
            for name in [n for n in dir(self) if n.startswith("case_")]:
                if not self.args.only or any(w in name for w in self.args.only):
                    try:
                        getattr(self, name)(p, x)
                    except (RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as e:
                        self.problems.append(f"{name[5:]}: {e!r}")
        finally:
            if x:
                x.stop()
            if self.problems:
                print(p.d.log_text()[-2000:], file=sys.stderr)
            p.stop()

    def show(self):
        head = ("", "postern", "should be", "", "beside")
        rows = [head] + self.rows
        widths = [max(len(r[i]) for r in rows) for i in range(5)]
        print()
        for r in rows:
            print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) if i == 1 else c.ljust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip())
        for problem in self.problems:
            print(f"PROBLEM {problem}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build")
    p.add_argument("--dir", help="where mail is stored; default: beside the build, so that it is a disk")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=int, default=4, help="how much in each round")
    p.add_argument("--onward", type=int, default=10000, help="messages through the queue in each round")
    p.add_argument("--idle", type=int, default=10000)
    p.add_argument("--only", action="append", help="cases with this in their name: " + " ".join(n[5:] for n in dir(Bench) if n.startswith("case_")))
    p.add_argument("--no-postfix", action="store_true")
    p.add_argument("--quick", action="store_true", help="one round, little of everything: does it work at all?")
    p.add_argument("--json", help="all that was measured, into this file")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.scale, args.idle, args.onward = 1, 1, 1000, 400
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped on the way out
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (65536, max(hard, 65536)))
    except ValueError:  # only CAP_SYS_RESOURCE may raise it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    base = pathlib.Path(args.dir or pathlib.Path(args.build).resolve() / "bench" / "run").resolve()
    base.mkdir(parents=True, exist_ok=True)
    b = Bench(args, base)
    b.run()
    b.show()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"rows": b.rows, "runs": b.raw, "problems": b.problems}, indent=1))
    return 1 if b.problems else 0


if __name__ == "__main__":
    sys.exit(main())
