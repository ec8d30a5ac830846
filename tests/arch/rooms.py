#!/usr/bin/env python3
"""Who may include whom. A room of src/ includes only lower rooms, and system headers with a home stay there."""
import pathlib
import re
import sys

ROOMS = ["base", "smtp", "conf", "policy", "tls", "net", "sink", "auth", "dns", "relay", "session", "proc", "main"]
# The protocol engine depends on base alone: its tests link nothing else.
MAY = {room: set(ROOMS[: i + 1]) for i, room in enumerate(ROOMS)}
MAY["smtp"] = {"base", "smtp"}
MAY["conf"] = {"base", "conf"}
MAY["policy"] = {"base", "conf", "policy"}
MAY["tls"] = {"base", "conf", "policy", "tls"}
MAY["net"] = {"base", "tls", "conf", "policy", "net"}
MAY["sink"] = {"base", "smtp", "conf", "policy", "sink"}
MAY["dns"] = {"base", "dns"}
# the second program; nothing of the daemon may include it
MAY["bench"] = {"base", "smtp", "conf", "tls", "net", "bench"}
HOME = [  # header pattern, who may include it
    (r"event2/", lambda f: f.startswith("net/")),
    (r"openssl/", lambda f: f.startswith("tls/") or re.match(r"bench/(bench_tls|bench_identity|bench_probe|client_hello_print|message_digest|pki)", f)),
    (r"confuse\.h", lambda f: f in ("conf/conf_load.c", "bench/scenario_cfg.h")),
    (r"gsasl\.h", lambda f: f.split("/")[0] in ("auth", "relay")),
    (r"unbound\.h", lambda f: f.startswith("dns/")),
    (r"seccomp\.h", lambda f: f.startswith("proc/")),
    (r"linux/landlock\.h", lambda f: f.startswith("proc/")),
    (r"idn2\.h", lambda f: f.split("/")[0] == "conf"),
]
CALLS = re.compile(r"(?<![\w.>])(fork|vfork|setuid|setgid|setresuid|setresgid|setgroups|chroot|execv[pe]*|execl[pe]*|kill)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text)


def main(root):
    bad = []
    for path in sorted(root.glob("*/*.[ch]")):
        name = path.relative_to(root).as_posix()
        room = name.split("/")[0]
        text = path.read_text()
        if room not in MAY:
            bad.append(f"{name}: {room} is not a room")
            continue
        for m in INCLUDE.finditer(text):
            line = text.count("\n", 0, m.start()) + 1
            ours, system = m.groups()
            if ours and ours != "config.h":
                other = ours.split("/")[0]
                if "/" not in ours or other not in MAY[room]:
                    bad.append(f"{name}:{line}: {room} may not include {ours}")
            for pattern, allowed in HOME:
                if re.match(pattern, system or ours) and not allowed(name):
                    bad.append(f"{name}:{line}: {system or ours} has its home elsewhere")
        if room != "proc":
            for m in CALLS.finditer(strip_comments(text)):
                line = text.count("\n", 0, m.start()) + 1
                bad.append(f"{name}: {m.group(1)}() belongs to src/proc")
        opening = text.lstrip()
        if path.suffix == ".h" and not opening.startswith("/*"):
            bad.append(f"{name}: a header opens with what it promises")
    for b in bad:
        print(b)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src")))
