#!/usr/bin/env python3
"""The daemon and postern-bench are two programs: nothing of src/bench/ is in the daemon, and it is the same to the last
byte, and so says the same to everybody, whether the bench is there or not."""
import hashlib
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")).resolve()
SAN = ["SAN=1"] if IS_ASAN else []


def names(*argv):
    """Of what is defined, without what compilers add of their own."""
    found = {line.split()[-1] for line in run("nm", *argv).out.splitlines() if re.search(r" [A-TV-Za-tv-z] \S+$", line)}
    return {n for n in found if not re.match(r"_|\.|main$|asan\.|__odr", n)}


class Apart(DaemonTest):
    def test_no_symbol_of_it(self):
        library, daemon = names("-g", "--defined-only", BUILD / "libbench.a"), names("--defined-only", POSTERN)
        self.assertGreater(len(library), 80)
        self.assertIn("buf_append", daemon)  # it is not stripped
        self.assertEqual(library & daemon, set())

    def test_no_word_of_it(self):
        daemon, bench = pathlib.Path(POSTERN).read_bytes(), (BUILD / "postern-bench").read_bytes()
        for word in (b"TESTBENCH", b"mx.bench.test", b"src/bench", b"also_ends"):
            self.assertIn(word, bench)
            self.assertNotIn(word, daemon)

    def tree(self, where, without=()):
        """What the daemon is made of, its objects with it, so that only archives and the program are made."""
        out = where / "build" / ("asan" if SAN else "")
        keep = shutil.ignore_patterns(*without)
        shutil.copytree(TOP / "src", where / "src", ignore=keep)
        shutil.copy2(TOP / "Makefile", where)
        for name in ("configure", "configure.ac"):  # as old as they are, so that nothing is configured anew
            shutil.copy2(TOP / name, where)
        out.mkdir(parents=True)
        shutil.copytree(BUILD / "obj", out / "obj", ignore=keep)
        for name in ("config.mk", "config.h"):
            shutil.copy2(TOP / "build" / name, where / "build")
        return out / "postern"

    def make(self, where, *words):
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        return run("make", "-C", where, *SAN, *words, env=env, timeout=PATIENCE * 4).out

    def test_the_same_daemon_without_it(self):
        made = []
        for name, without, words in (("with", (), ("all",)), ("without", ("bench",), ("all", "BENCH=no"))):
            where = pathlib.Path(tempfile.mkdtemp(prefix=f"apart-{name}-"))
            self.addCleanup(shutil.rmtree, where, True)
            daemon = self.tree(where, without)
            said = self.make(where, *words)
            self.assertNotIn(" -c -o ", said)  # nothing was compiled: it is the objects of this build
            self.assertEqual((daemon.parent / "postern-bench").exists(), name == "with")
            made.append(hashlib.sha256(daemon.read_bytes()).hexdigest())
        self.assertEqual(made[0], made[1])

    def test_nothing_of_it_is_made_for_the_daemon(self):
        where = pathlib.Path(tempfile.mkdtemp(prefix="apart-"))
        self.addCleanup(shutil.rmtree, where, True)
        daemon = self.tree(where)
        shutil.rmtree(daemon.parent / "obj")
        said = self.make(where, "-n", str(daemon.relative_to(where)))
        self.assertIn("src/main/main.c", said)
        self.assertNotIn("bench", said.replace(str(where), ""))


if __name__ == "__main__":
    main()
