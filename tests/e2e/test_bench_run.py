#!/usr/bin/env python3
"""postern-bench run: ports, commands, what is said of them, and the line that shows it. The whole catalogue: test_bench_senders.py."""
import pathlib
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
import transcripts  # noqa: E402

BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"
DRIVERS = pathlib.Path(__file__).resolve().parents[1] / "bench-drivers"
SENDER = pathlib.Path(__file__).resolve().parents[1] / "lib" / "bench_sender.py"
CATALOGUE = pathlib.Path(__file__).resolve().parents[2] / "conf" / "bench"
# those that cost minutes are left to people
QUICK = "starttls.[adimr]*"
# Takes the injected answer for that to its EHLO inside TLS, and goes on; uses nothing that it offers.
HASTY = """import os, socket, ssl, sys
sock = socket.create_connection((os.environ["BENCH_HOST"], int(os.environ["BENCH_PORT"])), 20)
for word in (b"", b"EHLO hasty.example.org\\r\\n", b"STARTTLS\\r\\n"):
    sock.sendall(word)
    while not sock.recv(65536).split(b"\\r\\n")[-2][3:4] == b" ":
        pass
sock = ssl._create_unverified_context().wrap_socket(sock)
sock.sendall(b"EHLO hasty.example.org\\r\\n")
sock.sendall(b"MAIL FROM:<sender@example.org>\\r\\n")
sock.recv(65536)
sys.exit(1)
"""


class Run(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.pki = pathlib.Path(tempfile.mkdtemp(prefix="bench-pki-"))
        cls.addClassCleanup(shutil.rmtree, cls.pki, True)

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.addCleanup(shutil.rmtree, self.dir, True)

    def bench(self, *words, only=QUICK, policy="required"):
        only = [w for o in ([only] if isinstance(only, str) else only) for w in ("--only", o)]
        done = run(BENCH, "run", "--catalogue", CATALOGUE, *only, "--policy", policy, "--out", self.dir / "out", "--pki", self.pki, *words,
                   check=False, timeout=600)
        transcripts.check_dir(self, self.dir / "out")
        self.results = dict(l.split()[:2] for l in done.out.splitlines() if re.match(r"\S+ +(pass|FAIL|undecided) ", l))
        return done

    def lines(self, sid):
        """What the session's transcript says; there is one of that name."""
        return [json.loads(l) for l in (self.dir / "out" / f"{sid}.jsonl").read_text().splitlines()]

    def failed(self):
        return sorted(n for n, r in self.results.items() if r == "FAIL")

    def sender(self, *faults, **kw):
        return self.bench("--", sys.executable, SENDER, *faults, **kw)

    def test_who_goes_by_an_injected_answer_fails_without_using_it(self):
        done = self.bench("--", sys.executable, "-c", HASTY, only="starttls.inject-reply")
        self.assertEqual(done.returncode, 1, done.err)
        self.assertIn("FAIL", done.out)
        self.assertIn("pipelined-unoffered", done.out)

    def test_swaks_smtplib_curl(self):
        for driver in ("swaks", "smtplib", "curl"):
            done = self.bench("--", DRIVERS / driver, only="starttls.refused-4*")
            self.assertEqual((done.returncode, self.failed()), (0, []), (driver, done.out, done.err))
            self.assertEqual(self.bench("--", DRIVERS / driver, only="good").returncode, 0)
            self.assertEqual(self.results, {"good": "pass"}, driver)

    def test_one_that_goes_on_in_clear(self):
        done = self.sender("clear-anyway", only="starttls.a*,starttls.refused-454")
        self.assertEqual(done.returncode, 1)
        self.assertIn("starttls.absent", self.failed())
        self.assertIn("starttls.refused-454", self.failed())
        self.assertNotIn("starttls.again", self.failed())
        # the line that shows it can be looked up
        sid = re.search(r"starttls.absent +FAIL +(\S+) +mail-in-clear: line (\d+) of \1\n +postern-bench transcript \S+/\1.jsonl\n", done.out)
        shown = next(l for l in self.lines(sid.group(1)) if l["seq"] == int(sid.group(2)))
        self.assertTrue(shown["raw"].startswith("MAIL"))

    def test_each_line_leads_to_its_session(self):
        done = self.sender(only=["starttls.a*,good", "starttls.refused-45?"])
        self.assertEqual(sorted(self.results), ["good", "starttls.absent", "starttls.again", "starttls.auth-clear",
                                                "starttls.refused-454"])
        for name, sid in re.findall(r"(?m)^(\S+) +pass +(\S+) ", done.out):
            self.assertEqual(self.lines(sid)[0]["scenario"], name)
        self.assertIn("no scenario fits nosuch.*", self.sender(only="good,nosuch.*").err)

    def test_verdicts_stand_in_the_transcripts(self):
        done = self.sender("clear-anyway", only="starttls.a*,good")
        every = self.dir / "out" / "all.jsonl"
        verdicts = [l for l in map(json.loads, every.read_text().splitlines()) if l["ev"] == "verdict"]
        self.assertEqual({v["scenario"]: v["result"].replace("fail", "FAIL") for v in verdicts}, self.results)
        (absent,) = (v for v in verdicts if v["scenario"] == "starttls.absent")
        (broken,) = (r for r in absent["rules"] if r["id"] == "mail-in-clear")
        self.assertEqual((broken["kind"], broken["ok"]), ("forbid", False))
        self.assertIn(f"mail-in-clear: line {broken['seq']} of {broken['sid']}", done.out)
        self.assertIn(f"\nstarttls.absent, required: fail: {absent['why']}\n", run(BENCH, "transcript", every).out)

    def test_several_at_once_are_judged_as_one_by_one(self):
        rows = lambda done: [re.sub(r"[0-9a-f]+-[0-9a-f]+", "SID", l) for l in done.out.splitlines() if re.match(r"(starttls\.|good)", l)]
        one = rows(self.bench("--jobs", "1", "--", sys.executable, SENDER, "clear-anyway", only="starttls.[ar]*,good"))
        self.assertEqual(rows(self.bench("--jobs", "9", "--", sys.executable, SENDER, "clear-anyway", only="starttls.[ar]*,good")), one)
        self.assertGreater(len(one), 8)
        self.assertEqual({r.split()[1] for r in one}, {"pass", "FAIL"})

    def test_judged_anew(self):
        """The same by the same rules; and by others what they say, without another session."""
        rows = lambda out: [l for l in out.splitlines() if re.match(r"(starttls\.|good)", l)]
        first = self.bench("--", sys.executable, SENDER, "clear-anyway", only="starttls.a*,good")
        words = ("--policy", "required", "--out", self.dir / "out")
        again = run(BENCH, "judge", "--catalogue", CATALOGUE, *words, check=False)
        self.assertEqual((rows(again.out), again.returncode), (rows(first.out), 1))
        shutil.copytree(CATALOGUE, self.dir / "rules")
        good = self.dir / "rules" / "good.conf"
        good.write_text(good.read_text().replace("forbid = {", 'forbid = {"tls", '))
        changed = run(BENCH, "judge", "--catalogue", self.dir / "rules", *words, "--only", "good", check=False)
        self.assertRegex(changed.out, r"(?m)^good +FAIL +(\S+) +tls: line \d+ of \1$")
        self.assertEqual(changed.returncode, 1)

    def test_what_the_command_says_is_kept(self):
        done = self.bench("--verbose", "--", "sh", "-c", "echo $BENCH_SCENARIO; echo 'no \033 such' >&2; exit 3", only="good,starttls.absent")
        self.assertEqual(done.returncode, 0)
        log = self.dir / "out" / "good.log"
        self.assertIn(f"nobody came; exit 3: no ? such ({log})", done.out)
        self.assertEqual(log.read_bytes(), b"good\nno \033 such\n")

    def test_a_command_that_is_not_there(self):
        for command in (["/nothing/there"], ["sh", "-c", "echo swoks is not installed >&2; exit 127"]):
            done = self.bench("--", *command)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(self.results, {})
            self.assertRegex(done.err, "nothing/there|exit 127: swoks is not installed")

    def test_a_command_that_does_not_end(self):
        begun = time.monotonic()
        done = self.bench("--timeout", "1", "--", "sh", "-c", "sleep 70 & wait", only="good")
        self.assertLess(time.monotonic() - begun, 30)
        self.assertRegex(done.out, r"good +undecided +- +the command did not end within 1 s, and nobody came")

    def test_interrupted(self):
        """What is judged is told, and nothing goes on."""
        proc = subprocess.Popen([str(w) for w in (BENCH, "run", "--catalogue", CATALOGUE, "--only", "good,starttls.absent", "--jobs", "1",
                                 "--out", self.dir / "out", "--pki", self.pki, "--", "sh", "-c",
                                 f'[ $BENCH_SCENARIO != good ] || {{ echo $$ >"{self.dir}/pid"; sleep 70; }}')],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertIn(b"starttls.absent", proc.stdout.readline())
        pid = wait_until(lambda: (self.dir / "pid").exists() and (self.dir / "pid").read_text().strip())
        proc.send_signal(signal.SIGINT)
        out, err = proc.communicate(timeout=60)
        self.assertEqual(proc.returncode, 2)
        self.assertIn(b"1 undecided, 1 not judged", out)
        self.assertIn(b"interrupted", err)
        self.assertRaises(ProcessLookupError, os.kill, int(pid), 0)

    def test_for_ci(self):
        junit = self.dir / "out.xml"
        done = self.bench("--junit", junit, "--tap", "--", sys.executable, SENDER, "clear-anyway", only="starttls.a*")
        self.assertEqual(done.returncode, 1)
        points = tap_points(done.out)
        self.assertEqual([(ok, name) for ok, name, _ in points], [(False, "starttls.absent"), (True, "starttls.again"), (False, "starttls.auth-clear")])
        suite = xml.etree.ElementTree.parse(junit).getroot()
        self.assertEqual((suite.tag, suite.get("tests"), suite.get("failures"), suite.get("skipped"), suite.get("errors")),
                         ("testsuite", "3", "2", "0", "0"))
        self.assertGreater(float(suite.get("time")), 0)
        cases = suite.findall("testcase")
        self.assertEqual([c.get("name") for c in cases], [name for _, name, _ in points])
        self.assertEqual([c.find("failure") is not None for c in cases], [True, False, True])
        for case, (_, _, more) in zip(cases, points):
            self.assertGreater(float(case.get("time")), 0)
            self.assertIn(more["transcript"], case.find("system-out").text)
            self.assertTrue(pathlib.Path(more["transcript"]).exists())
        self.assertEqual(self.bench("--", "true", only="no.such").returncode, 2)
        self.assertEqual(self.bench().returncode, 64)

    def test_for_ci_undecided_and_unavailable(self):
        junit, file = self.dir / "out.xml", self.dir / "mine.conf"
        file.write_text('scenario "a-b" { unavailable = "no <&> # \x01 here" }\nscenario "c" { }\n')
        done = self.bench("--scenario", file, "--junit", junit, "--tap", "--", "true", only="a-b,c")
        self.assertEqual(done.returncode, 0)
        self.assertEqual([(ok, name) for ok, name, _ in tap_points(done.out)], [(True, "a-b"), (True, "c")])
        self.assertEqual(done.out.count(" # SKIP undecided: "), 2)
        skipped = xml.etree.ElementTree.parse(junit).getroot().findall("testcase/skipped")
        self.assertEqual(len(skipped), 2)
        self.assertRegex(skipped[0].get("message"), "not available: no <&> # . here")


def tap_points(text):
    """TAP 13: (ok, name, words of the diagnosis) of each test point; and nothing else may be there."""
    lines = text.splitlines()
    assert lines[0] == "TAP version 13", lines
    count = int(re.fullmatch(r"1\.\.(\d+)", lines[1]).group(1))
    points, inside = [], False
    for line in lines[2:]:
        point = re.fullmatch(r"(not )?ok (\d+) - ([^#]*?)( # SKIP .*)?", line)
        if point and not inside:
            points.append((not point.group(1), point.group(3), {}))
            assert int(point.group(2)) == len(points), line
        elif line in ("  ---", "  ..."):
            inside = line == "  ---"
        else:
            key, value = re.fullmatch(r"  (\w+): (.*)", line).groups()
            assert inside, line
            points[-1][2][key] = json.loads(value)
    assert len(points) == count, text
    return points


if __name__ == "__main__":
    main()
