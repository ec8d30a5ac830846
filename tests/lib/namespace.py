"""A mount namespace of its own for programs that know absolute paths and account names: in it those are there and theirs, and
nothing of it is seen outside. They need not be installed, only unpacked (.ci/install-deps beside)."""
import os
import pathlib
import shutil
import subprocess
import sys

BESIDE = pathlib.Path(__file__).resolve().parents[2] / "build/beside"
UNSHARE = shutil.which("unshare")
MARK = "POSTERN_TEST_NAMESPACE"


def root_of(program):
    """/, or where it is unpacked. None: nowhere."""
    return next((r for r in (pathlib.Path("/"), BESIDE) if (r / program).exists()), None)


def why_not(name, program):
    """None, or the reason why the program (a path below its root) cannot be run here in a namespace of its own."""
    root = root_of(program)
    if os.geteuid() != 0:
        return f"{name} needs root"
    if not root:
        return f"{name} is not there (.ci/install-deps beside)"
    if not UNSHARE or subprocess.run([UNSHARE, "-m", "true"], stderr=subprocess.DEVNULL).returncode:
        return "no mount namespace can be made here"
    if b"not found" in subprocess.run(["ldd", root / program], stdout=subprocess.PIPE).stdout:
        return f"a library that {name} needs is not installed"
    return None


def enter():
    """This program begins anew inside of one; there it returns."""
    if os.environ.pop(MARK, None):
        mount("--make-rprivate", "/")
        return
    os.environ[MARK] = "inside"
    os.execv(UNSHARE, [UNSHARE, "-m", sys.executable, *sys.argv])


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


def replace(path, text, base):
    """The file has this content."""
    new = pathlib.Path(base) / path.strip("/").replace("/", "-")
    new.write_text(text)
    new.chmod(0o644)
    mount("--bind", new, path)


def accounts(base, ids):
    """Those that are missing are there."""
    for path, line in (("/etc/passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("/etc/group", "{0}:x:{1}:\n")):
        text = pathlib.Path(path).read_text()
        more = "".join(line.format(n, i) for n, i in ids.items() if f"\n{n}:" not in text)
        replace(path, text + more, base)


def empty(*paths):
    for p in paths:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", p)
