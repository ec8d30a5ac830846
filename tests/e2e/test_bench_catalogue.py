#!/usr/bin/env python3
"""The catalogue is whole, and each scenario of sections A to C and I to L does on the wire what its file says."""
import concurrent.futures
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"
ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ROOT / "tests" / "tables"
QUIET = 0.3


def octets(text):
    """As scenario files write them."""
    single = {"r": b"\r", "n": b"\n", "%": b"%"}

    def one(m):
        return single.get(m.group(1)) or bytes([int(m.group(1), 16)])
    return b"".join(one(re.match("%(.*)", p)) if p.startswith("%") else p.encode() for p in re.findall("%[rn%]|%[0-9a-f]{2}|[^%]+", text))


def dialogs():
    found, name = {}, None
    for line in (TABLES / "bench_dialogs.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            name = line
            found[name] = []
        else:
            found[name].append(line[2:])
    return found


class Talk:
    """One dialog of the table, with one scenario."""

    def __init__(self, port):
        self.port, self.connections = port, []

    def again(self, _=None):
        self.began = time.monotonic()
        self.c = None
        with contextlib.suppress(ConnectionResetError):  # where a reset is quicker than we are
            self.c = Client(self.port)
            self.connections.append(self.c)

    def S(self, regex):
        line = self.c.line()
        assert re.fullmatch(regex or "", line, re.S), f"wanted {regex!r}, got {line!r}"

    def C(self, text):
        self.c.send(octets(text) + b"\r\n")

    def T(self, text):
        self.c.send(octets(text))

    def B(self, text):
        assert not self.c.buf, self.c.buf
        got = self.c.sock.recv(65536)
        assert got == octets(text), f"wanted {octets(text)!r}, got {got!r}"

    def J(self, text):
        want = octets(text)
        while len(self.c.buf) < len(want):
            got = self.c.sock.recv(65536)
            assert got, f"wanted {want!r}, got {self.c.buf!r}"
            self.c.buf += got
        assert self.c.buf.startswith(want), f"wanted {want!r}, got {self.c.buf!r}"
        self.c.buf = self.c.buf[len(want):]

    def bytes(self, n):
        left = int(n) - len(self.c.buf)
        self.c.buf = b""
        while left > 0:
            got = self.c.sock.recv(1 << 20)
            assert got, f"{left} octets are missing"
            left -= len(got)

    def hello(self, _):
        self.S("220 .*")
        self.hello_again()

    def hello_again(self, _=None):
        self.offered = [l[4:] for l in self.c.expect("EHLO c.test", 250).split("\n")[1:]]

    def offers(self, words):
        for word in words.split():
            assert any(o.split(" ")[0] == word for o in self.offered), (word, self.offered)

    def lacks(self, word):
        assert not any(re.split("[ =]", o)[0].upper() == word for o in self.offered), (word, self.offered)

    def message(self, _):
        self.C("MAIL FROM:<a@b.test>%r%nRCPT TO:<c@d.test>%r%nDATA")
        for code in ("250", "250", "354"):
            self.S(code + " .*")

    def tls(self, _):
        self.c.buf = b""
        self.c.sock = trusting().wrap_socket(self.c.sock, server_hostname="bench.test")

    def silence(self, _):
        assert not self.c.buf, self.c.buf
        self.c.sock.settimeout(QUIET)
        try:
            got = self.c.sock.recv(65536)
        except TimeoutError:
            got = None
        self.c.sock.settimeout(PATIENCE)
        assert got is None, got

    def eof(self, _):
        with contextlib.suppress(ssl.SSLEOFError):
            while got := self.c.sock.recv(1 << 20):
                assert len(got) > 1000, got  # the rest of a flood

    def rst(self, _):
        try:
            while self.c and self.c.sock.recv(65536):
                pass
            if not self.c:
                return
        except ConnectionResetError:
            return
        raise AssertionError("no reset")

    def seconds(self, n):
        took = time.monotonic() - self.began
        assert took >= float(n), took

    def play(self, lines):
        self.again()
        for i, line in enumerate(lines):
            word, _, rest = line.partition(" ")
            try:
                getattr(self, word.replace("-", "_"))(rest)
            except Exception as e:
                return f"{i + 1}: {line!r}: {e!r}"
        return None

    def close(self):
        for c in self.connections:
            c.close()


class Catalogue(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.listed = [json.loads(l) for l in run(BENCH, "list", "--json", "--catalogue", ROOT / "conf" / "bench").out.splitlines()]

    def names(self, sections):
        return {s["name"] for s in self.listed if s["section"] in sections}

    def test_every_name_is_there(self):
        wanted = [l.split() for l in (TABLES / "bench_catalogue.txt").read_text().splitlines() if not l.startswith("#")]
        self.assertGreater(len(wanted), 200)
        self.assertEqual([name for section, name in wanted if name not in self.names(section)], [])

    def test_what_cannot_be_played_says_why(self):
        for s in self.listed:
            self.assertTrue(s["doc"] and s["correct"] and s["source"], s["name"])
            self.assertEqual(s["available"], "reason" not in s, s["name"])
        away = {s["name"] for s in self.listed if not s["available"] and s["section"] in set("ABCIJKL")}
        self.assertEqual({n.split(".")[0] for n in away}, {"mx"})

    def test_every_scenario_is_seen_on_the_wire(self):
        """All at once: each waits mostly."""
        talks = dialogs()
        playable = {s["name"] for s in self.listed if s["section"] in set("ABCIJKL") and s["available"]}
        silent = {"conn.refused", "conn.blackhole"}
        self.assertEqual(set(talks), playable - silent)
        with Serving(self) as ports:
            with concurrent.futures.ThreadPoolExecutor(len(talks)) as pool:
                rows = {n: Talk(ports[n]) for n in talks if ports.get(n)}
                done = dict(zip(rows, pool.map(lambda n: rows[n].play(talks[n]), rows)))
            self.assertEqual(set(rows), set(talks))
            for t in rows.values():
                t.close()
            self.assertEqual({n: e for n, e in done.items() if e}, {})
            with self.assertRaises(ConnectionRefusedError):
                Client(ports["conn.refused"])
            with self.assertRaises(TimeoutError):
                Client(ports["conn.blackhole"], timeout=QUIET)
        lines = [json.loads(l) for l in (self.out / "all.jsonl").read_text().splitlines()]
        acted = {l["scenario"] for l in lines if l["ev"] == "fault"}
        files = "\n".join(p.read_text() for p in (ROOT / "conf" / "bench").glob("*.conf"))
        steps = {n for n, block in re.findall(r'(?ms)^scenario "([^"]+)" \{$(.*?)^\}$', files) if "step {" in block} & set(talks)
        self.assertGreater(len(steps), 100)
        self.assertEqual(steps - acted, set())
        sids = {n: [l["sid"] for l in lines if l["ev"] == "session_start" and l["scenario"] == n] for n in talks}
        writes = {n: sum(l["writes"] for l in lines if l["ev"] == "send" and l["sid"] in sids[n]) for n in ("banner.drip", "banner.split", "ehlo.cut-lines", "ehlo.split", "pipe.split")}
        self.assertEqual(writes, {"banner.drip": 35, "banner.split": 2, "ehlo.cut-lines": 7, "ehlo.split": 9, "pipe.split": 15})
        sids = sids["dot.drop"]
        self.assertEqual([l["accepted"] for l in lines if l["ev"] == "message" and l["sid"] in sids], [True, True])


class Serving:
    def __init__(self, test):
        self.test = test
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        test.addCleanup(shutil.rmtree, self.dir, True)
        test.out = self.dir / "out"

    def __enter__(self):
        mine = [s for s in self.test.listed if s["section"] in set("ABCIJKL")]
        self.p = subprocess.Popen([str(BENCH), "serve", "--catalogue", ROOT / "conf" / "bench", "--pki", self.dir / "pki", "--out", self.test.out,
                                   "--only", ",".join(s["name"] for s in mine)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wanted = sum(s["available"] for s in mine)
        return {n: int(where.rsplit(":", 1)[1]) for n, where in (self.p.stdout.readline().split() for _ in range(wanted))}

    def __exit__(self, *what):
        self.p.terminate()
        self.p.wait(PATIENCE)
        errors = self.p.stderr.read()
        self.p.stdout.close()
        self.p.stderr.close()
        if not what[0]:
            self.test.assertEqual((self.p.returncode, errors), (0, ""))


if __name__ == "__main__":
    main()
