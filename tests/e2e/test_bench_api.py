#!/usr/bin/env python3
"""postern-bench's HTTP API: leases side by side, waiting without sleeps, sessions, scenarios and listeners that change; and
who is not let in, however they try."""
import concurrent.futures
import pathlib
import random
import sys
import threading
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from bench_serve import BENCH, BenchTest  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONNECTIONS, WAITS, LEASES = 1024, 768, 512  # of api.h and bench_conf.c


class Api(BenchTest):
    checked = False  # hundreds of sessions in a test, and lines of no other kind than elsewhere

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = pathlib.Path(tempfile.mkdtemp(prefix="bench-pki-"))  # once: keys cost time
        cls.addClassCleanup(shutil.rmtree, cls.made, True)
        run(BENCH, "pki", cls.made / "pki", timeout=TEST_SECONDS)

    def setUp(self):
        super().setUp()
        shutil.copytree(self.made / "pki", self.pki)

    def serve(self, *words, only="good"):
        self.start("--catalogue", ROOT / "conf" / "bench", "--pki", self.pki, "--out", self.out, "--only", only, "--api", "127.0.0.1:0",
                   *words)

    def start(self, *words):
        super().start(*words)
        self.ports = {}
        for line in self.p.stdout:
            name, where = line.split()[:2]
            if name == "api":
                self.base = where
                self.token = pathlib.Path(line.split()[-1]).read_text().strip()
                return
            self.ports[name] = where
        self.fail(self.p.stderr.read())

    def call(self, method, path, body=None, token=None, headers={}, raw=False):
        """Status and what came."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Authorization": f"Bearer {token or self.token}", **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as got:
                status, text = got.status, got.read()
        except urllib.error.HTTPError as e:
            with e:
                status, text = e.code, e.read()
                if not raw:
                    self.assertEqual(sorted(json.loads(text)), ["error", "remedy"])
        return status, text if raw else json.loads(text)

    def lease(self, **what):
        status, lease = self.call("POST", "/v1/leases", what)
        self.assertEqual(status, 201, lease)
        return lease

    def wait(self, lease, what, **query):
        text = "".join(f"&{k}={v}" for k, v in query.items())
        status, got = self.call("GET", f"/v1/leases/{lease['id']}/wait?for={what}{text}")
        self.assertEqual(status, 200, got)
        return got

    def metric(self, name):
        text = self.call("GET", "/metrics", raw=True)[1].decode()
        return int(re.search(rf'(?m)^postern_bench_{name}{{mode="testbench"}} (\d+)$', text).group(1))

    def test_a_lease_and_what_comes_of_it(self):
        self.serve()
        lease = self.lease(scenario="starttls.absent", policy="required", name="my test", seed=5)
        self.assertEqual((lease["name"], lease["seed"], lease["verdict"]["result"]), ("my test", 5, "undecided"))
        self.assertEqual(self.wait(lease, "sessions", timeout_s=0)["met"], False)
        with Client(lease["port"], lease["ip"]) as c:
            c.hello()
            self.assertEqual(self.wait(lease, "sessions")["open"], 1)
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                waits = [pool.submit(self.wait, lease, what) for what in ("message", "verdict", "session_end")]
                wait_until(lambda: self.metric("waits_open") == 3)
                self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
                self.assertTrue(waits[0].result()["met"])
                self.assertEqual(waits[1].result()["verdict"]["result"], "fail")  # in clear, where TLS was required
                self.assertFalse(waits[2].done())
                c.expect("QUIT", 221)
                c.close()
                self.assertEqual(waits[2].result()["open"], 0)
        got = self.call("GET", f"/v1/leases/{lease['id']}")[1]
        self.assertIn("mail-in-clear", got["verdict"]["why"])
        (session,) = self.call("GET", f"/v1/sessions?lease={lease['id']}")[1]["sessions"]
        self.assertEqual((session["scenario"], session["accepted"], session["ended"]), ("starttls.absent", 1, True))
        lines = self.call("GET", f"/v1/sessions/{session['sid']}.jsonl", raw=True)[1].decode().splitlines()
        self.assertEqual(json.loads(lines[-1])["ev"], "session_end")
        self.assertEqual(self.call("GET", f"/v1/sessions/{session['sid']}")[1]["sid"], session["sid"])
        text = self.call("GET", f"/v1/sessions/{session['sid']}.txt", raw=True)[1].decode()
        self.assertIn("C: EHLO client.example.test", text)
        self.assertEqual(text, run(BENCH, "transcript", self.out / f"{session['sid']}.jsonl").out)
        self.assertEqual(self.call("GET", "/v1/sessions/../api.token")[0], 404)
        status, last = self.call("DELETE", f"/v1/leases/{lease['id']}")
        self.assertEqual((status, last["verdict"]["result"]), (200, "fail"))
        (word,) = (l for l in map(json.loads, (self.out / "all.jsonl").read_text().splitlines()) if l["ev"] == "verdict")
        self.assertEqual((word["lease"], word["why"], word["rules"]), (lease["id"], last["verdict"]["why"], last["verdict"]["rules"]))
        self.assertEqual(self.call("GET", f"/v1/leases/{lease['id']}")[0], 404)
        with self.assertRaises(ConnectionRefusedError):
            Client(lease["port"], lease["ip"])

    def test_the_end_of_a_lease_ends_everything(self):
        self.serve()
        lease = self.lease(ttl_s=1)
        with Client(lease["port"], lease["ip"]) as c, concurrent.futures.ThreadPoolExecutor(1) as pool:
            c.hello()
            wait = pool.submit(self.call, "GET", f"/v1/leases/{lease['id']}/wait?for=message&timeout_s=60")
            self.assertEqual(wait.result()[0], 410)
            self.assertTrue(c.ended())
        self.assertEqual(self.metric("leases_open"), 0)
        self.assertEqual(self.metric("sessions_open"), 0)

    def test_mistakes_are_told(self):
        self.serve()
        for method, path, body, status, says in (
                ("POST", "/v1/leases", {"scenaro": "good"}, 400, 'nearest: "scenario"'),
                ("POST", "/v1/leases", {"scenario": "nothing"}, 404, "nothing"),
                ("POST", "/v1/leases", {"scenario": 3}, 400, "scenario"),
                ("POST", "/v1/leases", {"policy": "strict"}, 400, "strict"),
                ("POST", "/v1/leases", {"ttl_s": -1}, 400, "ttl_s"),
                ("POST", "/v1/leases", {"ttl_s": 1e9}, 400, "ttl_s"),
                ("POST", "/v1/leases", {"seed": "x"}, 400, "seed"),
                ("POST", "/v1/leases", {"ip": "192.0.2.1"}, 400, "ip"),
                ("POST", "/v1/leases", {"port": 65536}, 400, "port"),
                ("POST", "/v1/leases", b"[1]", 400, "object"),
                ("POST", "/v1/leases", b"{", 400, "line 1"),
                ("POST", "/v1/leases", b'{"ttl_s":1,"ttl_s":2}', 400, "duplicate"),
                ("POST", "/v1/leases", b"[" * 100000, 400, "line 1"),
                ("GET", "/v1/leases/x/wait?for=message", None, 404, "no lease"),
                ("GET", "/v1/sessions?since=-1", None, 400, "since"),
                ("GET", "/v1/sessions?limit=100000", None, 400, "limit"),
                ("GET", "/v1/sessions/none", None, 404, "no session"),
                ("GET", "/v1/scenarios/none", None, 404, "none"),
                ("GET", "/v2", None, 404, "nothing of that name"),
                ("GET", "/v1/leases/a/b/c/d/e/f", None, 404, "nothing of that name"),
                ("GET", "/v1/%2e%2e/x", None, 404, "nothing of that name"),
                ("GET", "/" + "a" * 4000, None, 404, "nothing of that name"),
                ("PUT", "/v1/leases", {}, 405, "method"),
                ("PATCH", "/healthz", None, 405, "method"),
                ("PUT", "/v1/listeners/none", {"state": "up"}, 404, "no listener"),
                ("PUT", "/v1/listeners/good", {"state": "sideways"}, 400, "which state"),
                ("PUT", "/v1/scenarios/a%20b", b"x", 400, "name"),
                ("PUT", "/v1/scenarios/x", b'scenario "y" { }', 400, "must define"),
                ("PUT", "/v1/scenarios/x", b'scenario "x" { } scenario "y" { }', 400, "must define"),
                ("PUT", "/v1/scenarios/x", b'scenario "x" {\n stp { } }', 400, "x:2: stp: not an option of scenario; nearest: step"),
                ("PUT", "/v1/scenarios/x", b'scenario "x" { doc = "open }', 400, "does not end"),
                ("PUT", "/v1/scenarios/x", b'scenario "x" { doc = "\0" }', 400, "NUL"),
                ("PUT", "/v1/scenarios/x", b'scenario "x" { tls { cert = "none" } }', 400, "none.pem"),
                ("PUT", "/v1/scenarios/x", b'include("/etc/passwd") scenario "x" { }', 400, "include")):
            got, what = self.call(method, path, body)
            self.assertEqual(got, status, (method, path, body, what))
            self.assertIn(says, what["error"], (method, path, body))
        lease = self.lease()
        self.assertEqual(self.call("GET", f"/v1/leases/{lease['id']}/wait")[0], 400)
        self.assertEqual(self.call("GET", f"/v1/leases/{lease['id']}/wait?for=lunch")[0], 400)
        # and nothing of all that is left over
        self.assertEqual(self.call("PUT", "/v1/scenarios/x", b'scenario "x" { }')[0], 201)

    def test_who_is_let_in(self):
        self.serve()
        self.assertEqual((self.out / "api.token").stat().st_mode & 0o777, 0o600)
        for token in ("x", self.token[:-1], self.token + "x", self.token[:-1] + "!", ""):
            self.assertEqual(self.call("GET", "/v1/leases", headers={"Authorization": f"Bearer {token}"})[0], 401, token)
        self.assertEqual(self.call("GET", "/v1/leases", headers={"Authorization": self.token})[0], 401)
        self.assertEqual(self.call("POST", "/v1/leases", {}, token="no")[0], 401)
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.call("GET", path, token="no", raw=True)[0], 200)
        self.assertEqual(self.call("GET", "/metrics", token="no")[0], 401)
        self.assertEqual(self.call("GET", "/v1/nothing", token="no")[0], 401)  # what is there is nobody's business
        # a page whose name was made to point here (DNS rebinding)
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
            self.assertEqual(self.call("GET", "/v1/leases", headers={"Host": host})[0], 403, host)
            self.assertEqual(self.call("GET", "/healthz", headers={"Host": host})[0], 403, host)
        for host in ("localhost", "localhost:1", "127.0.0.1", "[::1]:80", "mx.bench.test"):
            self.assertEqual(self.call("GET", "/v1/leases", headers={"Host": host})[0], 200, host)
        request = urllib.request.Request(self.base + "/v1/leases", None, {"Authorization": f"Bearer {self.token}", "Origin": "https://evil.example"})
        with urllib.request.urlopen(request) as got:
            self.assertFalse([h for h in got.headers if h.lower().startswith("access-control")])
            self.assertEqual(got.headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("sandbox", got.headers["Content-Security-Policy"])
        pem = self.call("GET", "/v1/pki/ca.pem", raw=True)[1]
        self.assertEqual(pem, (self.pki / "ca.pem").read_bytes())

    def test_a_token_that_others_can_read(self):
        self.out.mkdir()
        (self.out / "api.token").write_text("x" * 40)
        (self.out / "api.token").chmod(0o644)
        done = run(BENCH, "serve", "--catalogue", ROOT / "conf" / "bench", "--only", "good", "--pki", self.pki, "--out", self.out, "--api", "127.0.0.1:0",
                   check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("chmod 600", done.err)
        done = run(BENCH, "serve", "--pki", self.pki, "--out", self.out, "--api", "192.0.2.1:0", check=False)
        self.assertIn("loopback", done.err)

    def test_scenarios_change(self):
        self.serve()
        text = 'scenario "%s" { doc = "d" step { at = noop reply = {"250 %s"} } }'

        def says(where):
            with Client(int(where.rsplit(":", 1)[1])) as c:
                c.hello()
                return c.ask("NOOP")
        self.assertEqual(self.call("PUT", "/v1/scenarios/mine", (text % ("mine", "one")).encode())[0], 201)
        lease = self.lease(scenario="mine")
        self.assertEqual(says(f":{lease['port']}"), "250 one")
        with Client(lease["port"]) as c:
            c.hello()
            self.assertEqual(self.call("PUT", "/v1/scenarios/mine", (text % ("mine", "two")).encode())[0], 200)
            self.assertEqual(c.ask("NOOP"), "250 one")
        self.assertEqual(says(f":{lease['port']}"), "250 one")  # a lease stays what it is
        self.assertEqual(says(f":{self.lease(scenario='mine')['port']}"), "250 two")
        # listeners play the new one
        self.assertEqual(self.call("PUT", "/v1/scenarios/good", (text % ("good", "new")).encode())[0], 200)
        self.assertEqual(says(self.ports["good"]), "250 new")
        self.assertEqual(self.call("GET", "/v1/scenarios/good")[1]["doc"], "d")
        names = [s["name"] for s in self.call("GET", "/v1/scenarios")[1]["scenarios"]]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn("mine", names)
        odd = b'scenario "odd" { doc = "\xff" listen = accept }'
        self.assertEqual(self.call("PUT", "/v1/scenarios/odd", odd)[1]["doc"], "\xff")
        for i in range(30):
            self.assertEqual(self.call("PUT", "/v1/scenarios/mine", (text % ("mine", i)).encode())[0], 200)

    def test_listeners_go_down(self):
        self.serve()
        port = int(self.ports["good"].rsplit(":", 1)[1])
        lease = self.lease()
        for name, p in (("good", port), (lease["id"], lease["port"])):
            with Client(p) as c:
                c.hello()
                self.assertEqual(self.call("PUT", f"/v1/listeners/{name}", {"state": "down"})[0], 200)
                with self.assertRaises(ConnectionRefusedError):
                    Client(p)
                self.assertEqual(self.call("PUT", f"/v1/listeners/{name}", {"state": "blackhole"})[0], 200)
                with self.assertRaises(TimeoutError):
                    socket.create_connection(("127.0.0.1", p), timeout=0.3)
                c.expect("NOOP", 250)  # who was in stays in
            self.assertEqual(self.call("PUT", f"/v1/listeners/{name}", {"state": "up"})[0], 200)
            with Client(p) as c:
                c.hello()
        (good,) = self.call("GET", "/v1/listeners")[1]["listeners"]
        self.assertEqual((good["name"], good["state"], good["address"]), ("good", "up", self.ports["good"]))

    def test_two_hundred_leases(self):
        """Each its own scenario, all at once; nothing of one is seen in another, and the same seed gives the same bytes."""
        self.serve()
        many = 200
        text = ('scenario "s%d" { step { at = noop chance = 500 reply = {"250 2.0.0 s%d acts"} }'
                ' step { at = noop reply = {"250 2.0.0 s%d rests"} } step { at = rcpt per = rcpt times = 1 reply = {"450 4.2.1 s%d once"} } }')
        for i in range(many):
            self.assertEqual(self.call("PUT", f"/v1/scenarios/s{i}", (text % (i, i, i, i)).encode())[0], 201)

        def talk(i, lease, start):
            start.wait(PATIENCE)
            got = []
            for _ in range(2):
                with Client(lease["port"]) as c:
                    got.append(c.expect(None, 220))
                    got.append(c.expect(f"EHLO client{i}.test", 250))
                    got += [c.ask("NOOP") for _ in range(10)]
                    got.append(c.ask("MAIL FROM:<a@b.test>"))
                    got.append(c.ask("RCPT TO:<same@for.everybody.test>"))
                    got.append(c.ask("QUIT"))
            return "\n".join(got)

        def round(seed):
            order = list(range(many))
            random.shuffle(order)
            leases = {i: self.lease(scenario=f"s{i}", seed=seed, policy="opportunistic") for i in order}
            self.assertEqual(len({l["port"] for l in leases.values()}), many)
            start = threading.Event()
            with concurrent.futures.ThreadPoolExecutor(2 * many) as pool:
                waits = {i: pool.submit(self.wait, leases[i], "session_end", n=2, timeout_s=PATIENCE) for i in order}
                talks = {i: pool.submit(talk, i, leases[i], start) for i in order}
                wait_until(lambda: self.metric("waits_open") == many)
                start.set()
                heard = {i: t.result() for i, t in talks.items()}
                for i, w in waits.items():
                    got = w.result()
                    self.assertEqual((got["met"], got["sessions"], got["id"]), (True, 2, leases[i]["id"]))
            for i, said in heard.items():
                self.assertEqual(set(re.findall(r"\bs(\d+) ", said)), {str(i)})
                self.assertEqual(said.count("450 4.2.1"), 1)  # once in the lease, though all ask for the same recipient
            for lease in leases.values():
                self.assertEqual(self.call("DELETE", f"/v1/leases/{lease['id']}")[0], 200)
            return heard
        first, again, other = round(7), round(7), round(8)
        self.assertEqual(first, again)
        self.assertGreater(sum(first[i] != other[i] for i in range(many)), 150)
        self.assertGreater(len({re.sub(r"\bs\d+ |client\d+", "", h) for h in first.values()}), 100)  # and not all alike

    def test_leases_are_bounded(self):
        self.serve()
        for _ in range(LEASES):
            self.lease()
        status, got = self.call("POST", "/v1/leases", {})
        self.assertEqual(status, 503)
        self.assertIn("DELETE", got["remedy"])
        self.assertEqual(len(self.call("GET", "/v1/leases")[1]["leases"]), LEASES)

    # ---- messages

    def test_messages_as_they_came(self):
        self.serve()
        body = b"Subject: x\r\n\r\n.dot\r\n..two\r\n\xff\x00bare\nlf\r\n\r\n.\r.\r\n"
        lease, other = self.lease(), self.lease(scenario="dot.drop")
        with Client(lease["port"]) as c:
            c.hello()
            c.expect("STARTTLS", 220)
            c.sock = trusting().wrap_socket(c.sock, server_hostname="mx.bench.test")
            c.expect("EHLO x", 250)
            c.expect("MAIL FROM:<a@b.test> SIZE=100", 250)
            c.expect("RCPT TO:<c@d.test>", 250)
            c.expect(b"RCPT TO:<\xe9@d.test>", 250)
            c.expect("DATA", 354)
            wire = body.replace(b"\r\n.", b"\r\n..") + b".\r\n"
            c.sock.sendall(wire)
            c.expect(None, 250)
            c.expect("MAIL FROM:<>", 250)
            c.expect("RCPT TO:<c@d.test>", 250)
            c.sock.sendall(b"BDAT 3\r\n.\r\nBDAT 4 LAST\r\n.x\r\n")
            c.expect(None, 250)
            c.expect(None, 250)
            c.expect("MAIL FROM:<a@b.test>", 250)
            c.expect("RCPT TO:<c@d.test>", 250)
            c.expect("DATA", 354)
            c.sock.sendall(b"half a message\r\n")
        with Client(other["port"]) as c:
            c.hello()
            with self.assertRaises(EOFError):
                c.deliver(b"Subject: dropped\n\n")
        self.assertTrue(self.wait(lease, "session_end")["met"])
        self.assertTrue(self.wait(other, "message")["met"])
        first, second = self.call("GET", f"/v1/messages?lease={lease['id']}")[1]["messages"]
        self.assertEqual((first["from"], first["accepted"], first["chunked"], first["truncated"]), ("a@b.test", True, False, False))
        self.assertEqual(first["rcpts"], [{"addr": "c@d.test", "params": "", "code": 250}, {"addr": "\xe9@d.test", "params": "", "code": 250}])
        self.assertEqual((first["tls"]["version"], first["tls"]["sni"], first["size"]), ("TLSv1.3", "mx.bench.test", len(wire)))
        self.assertEqual(self.call("GET", f"/v1/messages/{first['mid']}.wire", raw=True)[1], wire)
        self.assertEqual(self.call("GET", f"/v1/messages/{first['mid']}.eml", raw=True)[1], body)
        self.assertEqual(self.call("GET", f"/v1/messages/{first['mid']}")[1], first)
        self.assertEqual((second["from"], second["chunked"]), ("", True))
        self.assertEqual(self.call("GET", f"/v1/messages/{second['mid']}.eml", raw=True)[1], b".\r\n.x\r\n")
        (dropped,) = self.call("GET", f"/v1/messages?lease={other['id']}")[1]["messages"]
        self.assertEqual(dropped["scenario"], "dot.drop")
        # the transcript calls it by the same name
        lines = self.call("GET", f"/v1/sessions/{first['sid']}.jsonl", raw=True)[1].decode().splitlines()
        self.assertEqual([l["mid"] for l in map(json.loads, lines) if l["ev"] == "message"], [first["mid"], second["mid"]])
        for mid in ("none", "../api.token", first["mid"] + ".exe", "..", ".eml"):
            self.assertEqual(self.call("GET", f"/v1/messages/{mid}")[0], 404, mid)
        self.assertEqual(self.call("DELETE", f"/v1/messages/{first['mid']}"), (200, {"left": 2}))
        self.assertEqual(self.call("GET", f"/v1/messages/{first['mid']}.eml")[0], 404)
        self.assertEqual(self.call("DELETE", "/v1/messages"), (200, {"left": 0}))
        self.assertEqual(list((self.out / "messages").iterdir()), [])

    def test_messages_are_bounded(self):
        def conf(more):
            return self.conf('bench { catalogue = "none" pki_dir = "pki" ports = "127.0.0.1:0" api { listen = "127.0.0.1:0" write = yes }'
                             f' capture {{ dir = "out" {more} }} }} scenario "good" {{ }}')

        def deliver(size):
            with Client(int(self.ports["good"].rsplit(":", 1)[1])) as c:
                c.hello()
                self.assertEqual(c.deliver(b"Subject: x\n\n" + (b"x" * 70 + b"\n") * (size // 72)).code, 250)
                c.expect("QUIT", 221)

        def sizes():
            return [m["size"] for m in self.call("GET", "/v1/messages")[1]["messages"]]
        self.start("-c", conf("max_mib = 1"))
        for size in (400000, 400000, 400000):
            deliver(size)
        self.assertEqual(len(sizes()), 2)  # the first one went
        deliver(2000000)
        (cut,) = self.call("GET", "/v1/messages")[1]["messages"]
        self.assertTrue(cut["truncated"])
        self.assertLessEqual(sum(f.stat().st_size for f in (self.out / "messages").iterdir()), 1 << 20)
        deliver(500000)
        self.assertEqual(len(sizes()), 1)  # there is room again
        self.stop()
        self.start("-c", conf("max_sessions = 3"))  # what an earlier run left counts
        self.assertEqual(len(sizes()), 1)
        for _ in range(4):
            deliver(1000)
        self.assertEqual(len(sizes()), 3)
        self.stop()
        self.start("-c", conf("body = none"))
        deliver(1000)
        self.assertEqual(self.call("GET", "/v1/messages")[0], 404)

    # ---- from a file

    def conf(self, text):
        path = self.dir / "bench.conf"
        path.write_text(text)
        return path

    def session(self, where, helo="client.test", mail="a@b.test", rcpt="c@d.test", host=None):
        """What RCPT is answered."""
        with Client(int(where.rsplit(":", 1)[1]), host or "127.0.0.1") as c:
            c.expect(None, 220)
            c.expect(f"EHLO {helo}", 250)
            c.expect(f"MAIL FROM:<{mail}>", 250)
            return c.ask(f"RCPT TO:<{rcpt}>")

    def test_from_a_file(self):
        seen = lambda: {s["listener"] for s in self.call("GET", "/v1/sessions")[1]["sessions"]}  # noqa: E731
        (self.dir / "more").mkdir()
        (self.dir / "more" / "inc.conf").write_text('scenario "by-rcpt" { select { rcpt = {"*@acme.test"} } step { at = rcpt reply = {"450 acme"} } }\n'
                                                    'include("deeper.conf")')
        (self.dir / "more" / "deeper.conf").write_text('scenario "by-helo" { select { helo = {"big.*"} } step { at = rcpt reply = {"450 big"} } }')
        path = self.conf("""
            bench { hostname = "mx.other.test" catalogue = "none" pki_dir = "pki" capture { dir = "out" } api { listen = "127.0.0.1:0" } }
            include("more/inc.conf")
            scenario "good" { }
            scenario "by-sni" { select { sni = {"sni.test"} } tls { max = "1.2" } step { at = rcpt reply = {"450 sni"} } }
            listener "open" { address = {"127.0.0.1:0"} }
            listener "fixed" { address = {"127.0.0.1:0"} select = no }
            listener "tls" { address = {"127.0.0.1:0"} implicit = yes }
            listener "closed" { address = {"127.0.0.1:0"} client = {"127.0.0.2"} }
            """)
        self.assertIn("4 scenarios, 4 listeners, api on", run(BENCH, "serve", "-c", path, "--check").out)
        self.start("-c", path)
        self.assertEqual(self.session(self.ports["open"]), "250 2.1.5 Ok")
        self.assertEqual(self.session(self.ports["open"], rcpt="x@acme.test"), "450 acme")
        self.assertEqual(self.session(self.ports["open"], helo="big.one"), "450 big")
        self.assertEqual(self.session(self.ports["open"], rcpt="rcpt-421-4.3.0x1@b.test"), "421 4.3.0 as the address asks")
        self.assertEqual(self.session(self.ports["open"], rcpt="rcpt-421-4.3.0x1@b.test"), "250 2.1.5 Ok")
        self.assertEqual(self.session(self.ports["fixed"], rcpt="x@acme.test", helo="big.one"), "250 2.1.5 Ok")
        self.assertEqual(self.session(self.ports["fixed"], rcpt="rcpt-421@b.test"), "250 2.1.5 Ok")
        for name, tls, version, answer in (("sni.test", "tls", "TLSv1.2", "450 sni"), ("mx.test", "tls", "TLSv1.3", "250 2.1.5 Ok"),
                                           ("sni.test", "open", "TLSv1.2", "450 sni")):
            with Client(int(self.ports[tls].rsplit(":", 1)[1]), tls=trusting() if tls == "tls" else None, name=name) as c:
                c.hello()
                if tls == "open":
                    c.expect("STARTTLS", 220)
                    c.sock = trusting().wrap_socket(c.sock, server_hostname=name)
                self.assertEqual(c.sock.version(), version)
                c.expect("EHLO x", 250)
                c.expect("MAIL FROM:<a@b.test>", 250)
                self.assertEqual(c.ask("RCPT TO:<c@d.test>"), answer)
        with Client(int(self.ports["closed"].rsplit(":", 1)[1])) as c:
            self.assertTrue(c.ended())
        with Client(int(self.ports["closed"].rsplit(":", 1)[1]), source="127.0.0.2") as c:
            c.hello()
        self.assertEqual(self.call("PUT", "/v1/scenarios/x", b'scenario "x" { }')[0], 403)  # write = yes is not there
        self.assertEqual(self.call("PUT", "/v1/listeners/open", {"state": "down"})[0], 403)
        self.assertEqual(self.call("GET", "/")[1]["host"], "mx.other.test")
        self.assertEqual(seen(), {"open", "fixed", "tls", "closed"})
        lease = self.lease(scenario="good", select=True)
        self.assertEqual(self.session(f":{lease['port']}", rcpt="x@acme.test"), "450 acme")

    def test_an_address_for_each(self):
        with socket.socket() as s:
            s.bind(("127.1.0.1", 0))
            port = s.getsockname()[1]
        self.start("-c", self.conf(f'bench {{ catalogue = "none" pki_dir = "pki" pool = "127.1.0.0/16:{port}" api {{ listen = "127.0.0.1:0" }} }}'
                                   'scenario "one" { step { at = rcpt reply = {"450 one"} } } scenario "two" { step { at = rcpt reply = {"450 two"} } }'))
        self.assertEqual(self.ports, {"one": f"127.1.0.1:{port}", "two": f"127.1.0.2:{port}"})
        for name, where in self.ports.items():
            self.assertEqual(self.session(where, host=where.split(":")[0]), f"450 {name}")
        lease = self.lease(scenario="two", ip="127.1.200.7", port=port)  # an address of its own at the same port
        self.assertEqual((lease["ip"], lease["port"]), ("127.1.200.7", port))
        self.assertEqual(self.session(f":{port}", host="127.1.200.7"), "450 two")
        self.assertEqual(self.call("POST", "/v1/leases", {"scenario": "two", "ip": "127.1.200.7", "port": port})[0], 503)

    # ---- clients that mean no good

    def connect(self):
        host, port = self.base[7:].rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=PATIENCE)

    def raw(self, data):
        """All that comes until the end."""
        with self.connect() as s:
            with contextlib.suppress(ConnectionError):
                s.sendall(data)
            got = b""
            with contextlib.suppress(ConnectionError):
                while piece := s.recv(65536):
                    got += piece
            return got

    def test_what_is_no_http(self):
        self.serve()
        head = b"GET /v1/leases HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + self.token.encode() + b"\r\n"
        self.assertIn(b" 200 ", self.raw(head + b"\r\n"))
        for data in (b"\0" * 5000 + b"\n\n", b"GET\r\n\r\n", b"EHLO x\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     head + b"X: " + b"y" * 100000 + b"\r\n\r\n", head + b"y: z\r\n" * 100000 + b"\r\n",
                     b"POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
                     b"POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                     b"POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
                     b"POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3000000):
            self.assertNotIn(b" 200 ", self.raw(data)[:20], data[:100])
        # of two requests in one write the second is not looked at
        self.assertEqual(self.raw((head + b"\r\n") * 5).count(b"HTTP/1.1 "), 1)
        self.assertEqual(self.call("GET", "/healthz", raw=True)[0], 200)
        wait_until(lambda: self.metric("http_connections") <= 2)

    def test_slow_ones_are_cut_off(self):
        self.serve()
        began = time.monotonic()
        slow = [self.connect() for _ in range(60)]
        parts = [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"", b"POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"]
        for i, s in enumerate(slow):
            s.sendall(parts[i % 3])
            s.setblocking(False)

        def ended(s):
            try:
                s.send(b"x")  # it drips on, and is never done
                return s.recv(1) == b""
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
        left = set(slow)

        def all_ended():
            left.difference_update([s for s in left if ended(s)])
            self.assertEqual(self.call("GET", "/healthz", raw=True)[0], 200)  # nobody else waits for them
            return not left
        wait_until(all_ended, deadline=40, every=0.2)
        self.assertGreater(time.monotonic() - began, 5)
        for s in slow:
            s.close()

    def test_thousands_that_wait(self):
        self.serve()
        lease = self.lease()
        head = f"GET /v1/leases/{lease['id']}/wait?for=message&timeout_s=600 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        waiting = []
        for _ in range(WAITS + 40):
            waiting.append(self.connect())
            waiting[-1].sendall(head.encode())
        refused = [s for s in waiting if s in wait_until(lambda: [x for x in self.readable(waiting)] if len(self.readable(waiting)) >= 40 else None)]
        self.assertEqual(len(refused), 40)
        for s in refused:
            self.assertIn(b" 503 ", s.recv(65536))
        self.assertEqual(self.metric("waits_open"), WAITS)  # who does not wait is still served
        # a client that leaves is forgotten; and the rest is answered at once when it comes
        for s in waiting[:700]:
            s.close()
        wait_until(lambda: self.metric("waits_open") == WAITS - len([s for s in waiting[:700] if s not in refused]))
        with Client(lease["port"]) as c:
            c.hello()
            c.deliver(b"Subject: x\n\n")
        for s in waiting[700:]:
            if s not in refused:
                self.assertIn(b'"met":true', s.recv(65536))
            s.close()
        # more connections than there may be: they wait their turn, and it comes
        more = [self.connect() for _ in range(CONNECTIONS + 100)]
        for s in more:
            s.close()
        wait_until(lambda: self.metric("http_connections") <= 2)

    def readable(self, socks):
        p = __import__("select").poll()
        by = {s.fileno(): s for s in socks}
        for fd in by:
            p.register(fd, 1)
        return [by[fd] for fd, _ in p.poll(0)]


if __name__ == "__main__":
    main()
