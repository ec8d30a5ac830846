#!/usr/bin/env python3
"""The manual pages: well-formed, and postern-bench(1) knows each command and option that the source has, and no other."""
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]


def words_of_source():
    options = set(re.findall(r'^    \{"(--?[a-z-]+)",', (TOP / "src/bench/bench_options.c").read_text(), re.M))
    commands = set(re.findall(r'^    \{"([a-z]+)",', (TOP / "src/bench/bench_main.c").read_text(), re.M))
    return options, commands


def words_of_page(text):
    options = set()
    for line in re.findall(r"^\.(?:It|Op) (?=.*Fl )(.*)$", text, re.M):
        for word in re.findall(r"Fl (-?[a-z][a-z-]*|-\b)", line):
            options.add("-" + word)
    listed = text[text.index(".Sh DESCRIPTION"):text.index("Options; in parentheses")]
    commands = {w for line in re.findall(r"^\.It Cm (.*)$", listed, re.M) for w in re.findall(r"[a-z]+", line)}
    return options, commands - {"help"}


def main():
    bad = []
    pages = sorted((TOP / "docs").glob("*.[158]"))
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], stdout=subprocess.PIPE, text=True, check=False)
        bad += done.stdout.splitlines()
    else:
        print("SKIP mandoc is not installed: the pages are not looked at")
    have, want = words_of_page((TOP / "docs/postern-bench.1").read_text()), words_of_source()
    for page, source, what in zip(have, want, ("option", "command")):
        bad += [f"docs/postern-bench.1: the {what} {w} is missing" for w in sorted(source - page)]
        bad += [f"docs/postern-bench.1: the {what} {w} is nowhere in the source" for w in sorted(page - source)]
    for b in bad:
        print(b)
    print(f"{len(pages)} pages, {len(want[0])} options, {len(want[1])} commands")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
