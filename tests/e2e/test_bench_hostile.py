#!/usr/bin/env python3
"""postern-bench among senders and programs that mean it no good: nobody has it for himself, it holds no more than it said,
and what they bring reaches nobody's files, environment or terminal."""
import pathlib
import resource
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Hostile(DaemonTest):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.pki, self.out = self.dir / "pki", self.dir / "out"
        self.complains = ""

    def serve(self, *words, before=None, env=None):
        """With its API; of the file's, or of the scenario good."""
        words = words or ("--pki", self.pki, "--out", self.out, "--only", "good", "--api", "127.0.0.1:0")
        self.errors = open(self.dir / "errors", "w+")
        self.addCleanup(self.errors.close)
        self.p = subprocess.Popen([str(w) for w in (BENCH, "serve", "--catalogue", ROOT / "conf" / "bench", *words)], stdout=subprocess.PIPE,
                                  stderr=self.errors, text=True, preexec_fn=before, env=env)
        self.addCleanup(self.stop)
        self.ports = {}
        for line in self.p.stdout:
            name, where = line.split()[:2]
            if name == "api":
                self.base, self.token = where, pathlib.Path(line.split()[-1]).read_text().strip()
                return
            self.ports[name] = int(where.rsplit(":", 1)[1])
        self.fail(self.said())

    def said(self):
        return pathlib.Path(self.errors.name).read_text()

    def stop(self):
        if self.p.stdout.closed:
            return
        if self.p.poll() is None:
            self.p.terminate()
            self.p.wait(PATIENCE)
        self.p.stdout.close()
        self.assertEqual(self.p.returncode, 0, self.said()[:4000])
        for line in self.said().splitlines():
            self.assertRegex(line, self.complains or "^$")

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, body, {"Authorization": f"Bearer {self.token}"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as got:
                return got.status, json.loads(got.read())
        except urllib.error.HTTPError as e:
            with e:
                return e.code, json.loads(e.read())

    def lines(self):
        return [json.loads(l) for l in (self.out / "all.jsonl").read_text().splitlines()]

    def test_one_that_never_pauses(self):
        """All of a long message lies there, and behind it somebody else connects: he is not kept until its end."""
        self.serve()
        context = ssl.create_default_context(cafile=self.pki / "ca.pem")
        context.check_hostname = False
        with Client(self.ports["good"]) as c:
            c.hello()
            c.starttls(context)
            c.expect("EHLO client.example.test", 250)
            c.expect("MAIL FROM:<a@b.test>", 250)
            c.expect("RCPT TO:<b@c.test>", 250)
            c.expect("DATA", 354)
            self.p.send_signal(signal.SIGSTOP)
            try:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                c.sock.settimeout(PATIENCE)
                c.sock.sendall((b"x" * 76 + b"\r\n") * 4000 + b".\r\n")  # lies there: nobody reads
                with socket.create_connection(("127.0.0.1", self.ports["good"]), timeout=PATIENCE):
                    self.p.send_signal(signal.SIGCONT)
                    c.expect(None, 250)
            finally:
                self.p.send_signal(signal.SIGCONT)
            c.expect("QUIT", 221)
        self.stop()
        begun = sorted((l["ts"], l["sid"]) for l in self.lines() if l["ev"] == "session_start")
        taken = next(l["mono_us"] for l in self.lines() if l["ev"] == "message")
        self.assertEqual(len(begun), 2)
        self.assertLess(begun[1][0], begun[0][0] + taken)

    def test_no_descriptor_is_left(self):
        """Whoever is to be let in waits, and nothing is told, or tried, without end."""
        self.complains = "network.accept-error|Too many open files"
        self.serve(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        used = lambda: sum(map(int, pathlib.Path(f"/proc/{self.p.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        host, port = self.base.split("//")[1].split(":")
        held = [socket.create_connection(("127.0.0.1", self.ports["good"]), timeout=PATIENCE) for _ in range(80)]
        try:
            wait_until(lambda: "accept-error" in self.said())
            with socket.create_connection((host, int(port)), timeout=PATIENCE):
                before, since = used(), time.monotonic()
                wait_until(lambda: time.monotonic() - since > 3)
                self.assertLess((used() - before) / os.sysconf("SC_CLK_TCK"), 0.5)
        finally:
            for s in held:
                s.close()
        wait_until(lambda: self.call("GET", "/v1/leases")[0] == 200)
        self.assertLess(len(self.said().splitlines()), 40)

    def put(self, name, more):
        return self.call("PUT", f"/v1/scenarios/{name}", f'scenario "{name}" {{ section = "x" {more} }}'.encode())

    def test_what_is_none_of_a_scenarios_business(self):
        self.serve(env={**os.environ, "BENCH_SECRET": "sesame"})
        for text in ('doc = "${BENCH_SECRET}"', "doc = ${BENCH_SECRET}", 'doc = "${NO_SUCH:-x}"', 'step { at = rcpt reply = {"250 a", "250 ${BENCH_SECRET}"} }',
                     'doc = "x"\n} # "\nscenario "${BENCH_SECRET}" {', 'include("/etc/passwd")'):
            status, got = self.put("mine", text)
            self.assertEqual(status, 400, (text, got))
            self.assertNotIn("sesame", json.dumps(got))
        status, got = self.put("mine", "doc = 'a ${BENCH_SECRET} b' # \"${BENCH_SECRET}\"\n")
        self.assertEqual((status, got.get("doc")), (201, "a ${BENCH_SECRET} b"))

    def test_a_scenario_that_would_take_long(self):
        self.serve()
        status, got = self.put("mine", "\n".join(["step { at = rcpt times = 1 }"] * 8000))  # within what a body may have
        self.assertEqual(status, 400)
        self.assertRegex(got["error"], "8001 sections")
        self.assertEqual(self.put("mine", "\n".join(["step { at = rcpt times = 1 }"] * 900))[0], 201)

    def test_a_scenario_is_replaced_while_its_tls_is_in_use(self):
        """Its session has chosen another one since: nothing of the one whose certificate it saw may be gone."""
        self.serve()
        tls = lambda n: 'select { sni = {"a.test"} } tls { record = %d record_ms = 1 }' % n
        self.assertEqual(self.put("mine.tls", tls(600))[0], 201)
        self.assertEqual(self.put("mine.mail", 'select { mail = {"b@*"} }')[0], 201)
        lease = self.call("POST", "/v1/leases", b'{"select": true}')[1]
        context = ssl.create_default_context(cafile=self.pki / "ca.pem")
        context.check_hostname = False
        with Client(lease["port"], name="a.test") as c:
            c.hello()
            c.starttls(context)
            c.expect("EHLO client.example.test", 250)
            c.expect("MAIL FROM:<b@c.test>", 250)
            for n in (601, 602, 603):
                self.assertEqual(self.put("mine.tls", tls(n))[0], 200)
            c.expect("RCPT TO:<b@c.test>", 250)
            c.expect("QUIT", 221)
        self.stop()
        chosen = [l["scenario"] for l in self.lines() if l["ev"] == "select"]
        self.assertEqual(chosen, ["mine.tls", "mine.mail"])

    def test_a_transcript_of_somebody_else(self):
        bad = "\x1b]0;x\x07\u009b31m\u202e\x7f\r"
        texts = ("sid", "scenario", "at", "effect", "sni", "version", "cipher", "openssl", "mid", "dup_of", "policy", "id", "detail", "by", "reason", "eol", "text")
        with open(self.dir / "theirs.jsonl", "w") as f:
            for ev in ("session_start", "recv", "send", "fault", "client_hello", "tls_done", "tls_fail", "tls_event", "body", "message", "lint", "session_end", "verdict", bad):
                f.write(json.dumps({"ev": ev, **dict.fromkeys(texts, bad), "sid": "1-1", "versions": [bad, 1], "near_eod": [bad, None], "lines": [bad],
                                    "peer": {"ip": bad}, "local": {"ip": bad}, "rules": [dict.fromkeys(texts, bad)]}) + "\n")
        shown = run(BENCH, "transcript", self.dir / "theirs.jsonl").stdout
        self.assertGreater(shown.count(b"\\x1b]0;x\\x07"), 10)
        self.assertEqual({c for c in shown if not 32 <= c <= 126}, {10})

    def test_interrupted_twice(self):
        """The command is deaf to the first one; nothing is turned over meanwhile, and the second one is its end."""
        deaf = self.dir / "deaf"
        self.p = subprocess.Popen([str(BENCH), "run", "--catalogue", ROOT / "conf" / "bench", "--pki", self.pki, "--out", self.out, "--only", "good",
                                   "--", "sh", "-c", f'trap "" TERM INT; echo $$ > {deaf}.new; mv {deaf}.new {deaf}; while :; do sleep 1; done'],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (self.p.kill(), self.p.wait(), self.p.stdout.close(), self.p.stderr.close()))
        wait_until(deaf.exists)
        used = lambda: sum(map(int, pathlib.Path(f"/proc/{self.p.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        self.p.send_signal(signal.SIGINT)
        since, began = time.monotonic(), used()
        wait_until(lambda: time.monotonic() - since > 2)
        self.assertFalse(has_ended(int(deaf.read_text())))
        self.assertLess((used() - began) / os.sysconf("SC_CLK_TCK"), 1 if IS_ASAN else 0.15)
        self.p.send_signal(signal.SIGINT)
        since = time.monotonic()
        out, err = self.p.communicate(timeout=PATIENCE)
        self.assertEqual(self.p.returncode, 2, (out, err))
        self.assertIn("interrupted", err)
        self.assertLess(time.monotonic() - since, 6)  # not the ten seconds that it would have had
        wait_until(lambda: has_ended(int(deaf.read_text())))


if __name__ == "__main__":
    main()
