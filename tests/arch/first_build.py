#!/usr/bin/env python3
"""The first build. `make run`, then `make check`, on a machine where the second installs the library check: the unit tests
are built with it although configure ran before it was there; without it they name it in one line. configure lists no
directory but the prefix, which counts; what is installed is where the program looks."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
WRAPPER = """#!/bin/sh
if [ -e "$0.without" ]; then case "$*" in *check*) exit 1 ;; esac; fi
exec {} "$@"
"""


def main():
    real = shutil.which("pkg-config")
    bad = []
    with tempfile.TemporaryDirectory() as d:
        top = pathlib.Path(d)
        for name in ("Makefile", "configure.ac", "src", "tests/unit"):
            (shutil.copytree if (TOP / name).is_dir() else shutil.copy)(TOP / name, top / name)
        wrapper, without = top / "pkg-config", top / "pkg-config.without"
        wrapper.write_text(WRAPPER.format(real))
        wrapper.chmod(0o755)
        without.touch()
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
        env["PKG_CONFIG"] = str(wrapper)

        def make(*words):
            return subprocess.run(["make", *words], cwd=top, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=100)

        test = "build/unit/base/test_text"
        made = make("build/config.mk")
        if made.returncode:
            bad.append("configure needs check: " + made.stdout)
        missing = make(test)
        if missing.returncode == 0 or "missing package (Debian name): check" not in missing.stdout:
            bad.append("a missing check is not named: " + missing.stdout)
        without.unlink()
        later = make("-n", test)
        if later.returncode or "-lcheck" not in later.stdout:
            bad.append("check came after configure, and is not linked: " + later.stdout[-2000:])
        said = subprocess.run(["./configure", "--help"], cwd=top, stdout=subprocess.PIPE, text=True).stdout
        listed = set(re.findall(r"^ .*?--([a-z-]+)=(?:[A-Z]*DIR|[A-Z]*PREFIX)", said, re.M))
        if listed != {"prefix"} or "LIBS" in said:
            bad.append(f"configure --help lists directories that nothing uses: {sorted(listed)}")
        for word, unit in (("--prefix=/usr", "/lib"), ("--prefix=/usr/local", "/usr/local/lib")):
            subprocess.run(["./configure", "-q", word], cwd=top, env=env, check=True)
            out = make("-n", "install", "DESTDIR=/nowhere").stdout
            for path in (word[9:] + "/sbin/postern", word[9:] + "/share/man/man8/postern.8", "/etc/postern/postern.conf",
                         unit + "/systemd/system/postern.service"):
                if not re.search(rf"[ >]/nowhere{path}$", out, re.M):
                    bad.append(f"{word}: {path} is not installed")
            if "|/etc|" not in out:
                bad.append(f"{word}: the unit names another configuration")
    print("\n".join("FAIL " + b for b in bad) or "ok the first build")
    return 1 if bad else 0


sys.exit(main())
