#!/usr/bin/env python3
"""The whole catalogue, played to a correct sender and to eight that are wrong in one way each (tests/lib/bench_sender.py).
The correct one fails nothing under any policy, and each of the others exactly what tests/tables/bench_senders.txt says."""
import pathlib
import socketserver
import sys
import threading
import unittest

LIB = pathlib.Path(__file__).resolve().parents[1] / "lib"
sys.path.insert(0, str(LIB))
import bench_sender  # noqa: E402
from postern import *  # noqa: E402,F403

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"
TABLE = ROOT / "tests" / "tables" / "bench_senders.txt"
JOBS = 16  # of each sender; most of them wait most of the time


class Ask(socketserver.StreamRequestHandler):
    def handle(self):
        words = dict(l.decode().rstrip("\n").partition("=")[::2] for l in iter(self.rfile.readline, b"\n"))
        try:
            why = bench_sender.deliver(words, words.pop("faults").split())
        except Exception as e:  # the sender's own mistake is not to look like a careful one
            why = f"broken: {e!r}"
            self.server.broken.append((words.get("BENCH_SCENARIO"), why))
        self.wfile.write(f"{1 if why else 0} {why}\n".encode())


class Senders(socketserver.ThreadingTCPServer):
    daemon_threads, request_queue_size = True, 1024

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Ask)
        self.broken = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


def expected():
    """{(sender, policy): {scenario: word}} of the table."""
    table, now = {}, None
    for line in TABLE.read_text().splitlines():
        words = line.split("#")[0].split()
        if words and line[0] != " ":
            now = table.setdefault(tuple(words), {})
        elif words:
            now[words[0]] = words[1]
    return table


class AllOfThem(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, True)
        cls.senders = Senders()
        cls.addClassCleanup(cls.senders.server_close)
        cls.addClassCleanup(cls.senders.shutdown)
        run(BENCH, "pki", cls.dir / "pki")
        cls.table = expected()
        plays = list(cls.table) + [("correct", p) for p in ("opportunistic", "required", "verified")]
        cls.results, threads = {}, []
        for sender, policy in plays:
            threads.append(threading.Thread(target=cls.play, args=(sender, policy)))
            threads[-1].start()
        for t in threads:
            t.join()

    @classmethod
    def play(cls, sender, policy):
        words = [] if sender == "correct" else [sender]
        done = run(BENCH, "run", "--catalogue", ROOT / "conf" / "bench", "--policy", policy, "--jobs", str(JOBS),
                   "--out", cls.dir / f"{sender}-{policy}", "--pki", cls.dir / "pki", "--", LIB / "bench-sender", *words,
                   env={**os.environ, "SENDER_PORT": str(cls.senders.server_address[1])}, check=False, timeout=600)
        lines = [re.match(r"(\S+) +(pass|FAIL|undecided) +(?:\S+-\S+ +)?(.*)", l) for l in done.out.splitlines()]
        cls.results[sender, policy] = ({m[1]: (m[2], m[3]) for m in lines if m}, done)

    def failed(self, sender, policy):
        results, done = self.results[sender, policy]
        self.assertIn(done.returncode, (0, 1), done.err)
        return {n: why.split(":")[0] for n, (r, why) in results.items() if r == "FAIL"}

    def test_a_correct_one_fails_nothing(self):
        for policy in ("opportunistic", "required", "verified"):
            results, _ = self.results["correct", policy]
            self.assertEqual(self.failed("correct", policy), {}, policy)
            open_ = sorted(n for n, (r, _) in results.items() if r == "undecided")
            self.assertLess(len(open_) * 4, len(results), (policy, open_))  # most of it can be seen to be right

    def test_each_wrong_one_fails_what_covers_it(self):
        self.assertEqual(len(self.table), 8)
        for (sender, policy), wanted in self.table.items():
            with self.subTest(sender):
                got = self.failed(sender, policy)
                shown = "".join(f"\n    {n:<28} {w}" for n, w in sorted(got.items()))
                self.assertEqual(got, wanted, f"{sender} {policy}{shown}")

    def test_each_fail_leads_to_the_line_that_shows_it(self):
        for (sender, policy), (results, _) in self.results.items():
            for name, (result, why) in results.items():
                if result == "FAIL":
                    seq, sid = re.fullmatch(r"\S+: line (\d+) of (\S+)", why).groups()
                    lines = (self.dir / f"{sender}-{policy}" / f"{sid}.jsonl").read_text().splitlines()
                    self.assertEqual(json.loads(lines[0])["scenario"], name)
                    self.assertEqual(json.loads(lines[int(seq) - 1])["seq"], int(seq))

    def test_the_facts_are_in_the_guide(self):
        guide = (ROOT / "docs" / "bench.md").read_text()
        for line in run(BENCH, "facts", "--json").out.splitlines():
            fact = json.loads(line)
            doc = fact["doc"].replace("<", "&lt;").replace(">", "&gt;")
            self.assertIn(f"| `{fact['id']}` | {doc} |\n", guide)

    def test_the_senders_did_what_they_meant_to(self):
        self.assertEqual(self.senders.broken, [])


if __name__ == "__main__":
    main()
