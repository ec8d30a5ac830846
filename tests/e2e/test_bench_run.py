#!/usr/bin/env python3
"""postern-bench run: correct senders fail nothing, and senders that are broken in one way fail what covers it."""
import pathlib
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"
DRIVERS = pathlib.Path(__file__).resolve().parents[1] / "bench-drivers"
SENDER = pathlib.Path(__file__).resolve().parents[1] / "lib" / "bench_sender.py"
# those that cost minutes are left to people
QUICK = "starttls.[adimr]*"


class Run(DaemonTest):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.addCleanup(shutil.rmtree, self.dir, True)

    def bench(self, *words, only=QUICK, policy="required"):
        done = run(BENCH, "run", "--catalogue", pathlib.Path(__file__).resolve().parents[2] / "conf" / "bench", "--only", only,
                   "--policy", policy, "--out", self.dir / "out", "--pki", self.dir / "pki", *words, check=False, timeout=600)
        self.results = dict(l.split()[:2] for l in done.out.splitlines() if re.match(r"\S+ +(pass|FAIL|undecided) ", l))
        return done

    def failed(self):
        return sorted(n for n, r in self.results.items() if r == "FAIL")

    def sender(self, *faults, **kw):
        return self.bench("--", sys.executable, SENDER, *faults, **kw)

    def test_correct_senders_fail_nothing(self):
        for policy in ("opportunistic", "required", "verified"):
            done = self.sender(policy=policy)
            self.assertEqual(done.returncode, 0, done.out)
            self.assertEqual(self.failed(), [])
            self.assertGreater(sum(r == "pass" for r in self.results.values()), 9, done.out)

    def test_swaks_smtplib_curl(self):
        for driver in ("swaks", "smtplib", "curl"):
            done = self.bench("--", DRIVERS / driver, only="starttls.refused-4*")
            self.assertEqual((done.returncode, self.failed()), (0, []), (driver, done.out, done.err))
            self.assertEqual(self.bench("--", DRIVERS / driver, only="good").returncode, 0)
            self.assertEqual(self.results, {"good": "pass"}, driver)

    def test_one_that_goes_on_in_clear(self):
        done = self.sender("clear-anyway")
        self.assertEqual(done.returncode, 1)
        self.assertIn("starttls.absent", self.failed())
        self.assertIn("starttls.refused-454", self.failed())
        self.assertNotIn("starttls.again", self.failed())
        # the line that shows it can be looked up
        sid = re.search(r"starttls.absent +FAIL +mail-in-clear: line (\d+) of (\S+)", done.out)
        lines = (self.dir / "out" / f"{sid.group(2)}.jsonl").read_text().splitlines()
        shown = next(json.loads(l) for l in lines if json.loads(l)["seq"] == int(sid.group(1)))
        self.assertTrue(shown["text"].startswith("MAIL"))

    def test_one_that_believes_what_was_injected(self):
        self.sender("believes-injected")
        self.assertEqual(self.failed(), ["starttls.inject-reply"])

    def test_one_that_never_asks_again(self):
        self.sender("no-second-ehlo", only="starttls.a*")
        self.assertEqual(self.failed(), ["starttls.again"])

    def test_one_that_sends_its_password_in_clear(self):
        self.sender("auth-in-clear")
        self.assertEqual(self.failed(), ["starttls.auth-clear"])

    def test_one_that_retries_what_is_refused_for_good(self):
        self.sender("retries-5yz", policy="opportunistic", only="rcpt.55[01]")
        self.assertEqual(self.failed(), ["rcpt.550", "rcpt.551"])

    def test_one_that_smuggles(self):
        self.sender("smuggles", policy="opportunistic", only="smuggle.*")
        self.assertIn("smuggle.observe", self.failed())
        self.assertIn("smuggle.lenient-lf-dot-lf", self.failed())
        self.assertIn("smuggle.lenient-cr-dot-cr", self.failed())
        self.assertIn("smuggle.lenient-crlf-nul-dot-crlf", self.failed())
        self.sender(policy="opportunistic", only="smuggle.*")
        self.assertEqual(self.failed(), [])
        self.assertEqual(self.results["smuggle.observe"], "pass")

    def test_certificates(self):
        self.sender(policy="verified", only="cert.*")
        self.assertEqual(self.failed(), [])
        self.assertEqual(self.results["cert.good-rsa"], "pass")
        self.assertEqual(self.results["cert.expired"], "pass")
        self.sender("no-verification", policy="verified", only="cert.*")
        self.assertIn("cert.wrong-host", self.failed())
        self.assertIn("cert.self-signed", self.failed())
        self.assertNotIn("cert.good-rsa", self.failed())

    def test_for_ci(self):
        junit = self.dir / "out.xml"
        done = self.bench("--junit", junit, "--tap", "--", sys.executable, SENDER, "clear-anyway", only="starttls.a*")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.out, r"(?m)^1\.\.3$")
        self.assertRegex(done.out, r"(?m)^not ok \d - starttls.absent ")
        suite = xml.etree.ElementTree.parse(junit).getroot()
        self.assertEqual(len(suite.findall("testcase")), 3)
        self.assertEqual(len(suite.findall("testcase/failure")), 2)  # and starttls.auth-clear
        self.assertEqual(self.bench("--", "/nothing/there").returncode, 2)
        self.assertEqual(self.bench("--", "true", only="no.such").returncode, 2)
        self.assertEqual(self.bench().returncode, 64)


if __name__ == "__main__":
    main()
