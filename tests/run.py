#!/usr/bin/env python3
"""Runs every test and says how many passed and failed; that is the last line.

    tests/run.py --build build [--build build/asan] [--fuzz build/fuzz] [WORD...]

A WORD keeps only the jobs whose name contains it. Jobs run two at a time for each processor, each with a time limit; what a failing
job printed is shown. A skipped test is named with its reason."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent
CHECK_LINE = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)
RESULT_LINE = re.compile(r"^RESULT (\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
say_lock = threading.Lock()


def say(*words):
    with say_lock:
        print(*words, flush=True)


class Job:
    def __init__(self, name, argv, limit, env=None):
        self.name, self.argv, self.limit = name, argv, limit
        self.env = dict(os.environ, **(env or {}))

    def run(self):
        started = time.monotonic()
        # a group of its own: what a job leaves behind when its time is over ends with it
        job = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, cwd=TESTS.parent, start_new_session=True)
        try:
            out, code = job.communicate(timeout=self.limit)[0], job.returncode
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            out, code = job.communicate()[0] + b"\nno end after %d s" % self.limit, -1
        out = out.decode(errors="replace")
        passed, failed, skipped = self.count(out, code)
        took = time.monotonic() - started
        word = "FAIL" if failed else "ok"
        say(f"{word:4} {self.name} ({passed} passed, {failed} failed{f', {skipped} skipped' if skipped else ''}; {took:.1f} s)")
        if failed:
            say(out)
        else:
            for line in out.splitlines():
                if line.startswith("SKIP "):
                    say("     " + line)
        return passed, failed, skipped

    def count(self, out, code):
        checks = CHECK_LINE.findall(out)
        results = RESULT_LINE.findall(out)
        if checks:
            passed = failed = 0
            for total, failures, errors in checks:
                failed += int(failures) + int(errors)
                passed += int(total) - int(failures) - int(errors)
            skipped = len(re.findall(r"^SKIP ", out, re.M))
            # a sanitizer report, or a death after the last line, is a failure that no count shows
            return passed, failed or (1 if code else 0), skipped
        if results:
            passed, failed, skipped = map(int, results[-1])
            return passed, failed or (1 if code else 0), skipped
        oks = len(re.findall(r"^ok ", out, re.M))
        fails = len(re.findall(r"^FAIL ", out, re.M))
        if oks or fails:
            return oks, fails or (1 if code else 0), 0
        return (0, 1, 0) if code else (1, 0, 0)


def jobs_of(args):
    for script in sorted((TESTS / "arch").glob("*.py")):
        yield Job(f"arch/{script.name}", [sys.executable, str(script)], 120)
    for build in args.build:
        build = pathlib.Path(build)
        env = {"POSTERN": str((build / "postern").resolve()), "POSTERN_BUILD": str(build.resolve()),
               "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=1"}
        for test in sorted((build / "unit").glob("*/test_*")):
            if test.suffix == "" and os.access(test, os.X_OK):
                yield Job(f"{build}/unit/{test.parent.name}/{test.name}", [str(test)], 300, env)
    if args.fuzz:
        # each a job of its own, so that they share the machine fairly
        for target in sorted(pathlib.Path(args.fuzz).glob("fuzz_*")):
            if target.suffix == "" and target.is_file():
                yield Job(f"fuzz/{target.name[5:]}", ["sh", str(TESTS / "fuzz" / "run"), args.fuzz,
                                                      str(args.fuzz_seconds), target.name[5:]], args.fuzz_seconds + 120)
    for build in args.build:
        build = pathlib.Path(build)
        env = {"POSTERN": str((build / "postern").resolve()), "POSTERN_BUILD": str(build.resolve()),
               "PYTHONDONTWRITEBYTECODE": "1"}
        for test in sorted((TESTS / "e2e").glob("test_*.py")) + sorted((TESTS / "store").glob("test_*.py")):
            yield Job(f"{build}/{test.parent.name}/{test.stem}", [sys.executable, str(test)], 900, env)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", action="append", default=[])
    p.add_argument("--fuzz")
    p.add_argument("--fuzz-seconds", type=int, default=int(os.environ.get("FUZZ_SECONDS", "8")))
    p.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))  # most of them wait, and compute little
    p.add_argument("words", nargs="*")
    args = p.parse_args()
    jobs = [j for j in jobs_of(args) if not args.words or any(w in j.name for w in args.words)]
    total = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for counts in pool.map(Job.run, jobs):
            total = [a + b for a, b in zip(total, counts)]
    if not jobs:
        total[1] = 1
        say("no test matches")
    say(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
