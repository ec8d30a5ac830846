#!/usr/bin/env python3
"""docs/events.md and the source tell of the same events: names both ways, levels where the source states one beside the
name, and every key that a line may have."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
LEVEL = {"LOG_LEVEL_" + n.upper(): n for n in ("error", "warn", "info", "debug", "trace")}
CALL = re.compile(r'\b(?:log_begin|log_event|session_begin|log_words|log_unavailable)\s*\(([^;]*?)"([a-z]+(?:\.[a-z0-9-]+)+)"', re.S)
LITERAL = re.compile(r'"([a-z]+\.[a-z0-9-]+)"')
KEY = re.compile(r'\blog_(?:str|int|bool|peer)\s*\(&?\w+,\s*(?:[^"();]*\?\s*)?"([A-Za-z]+)"(?:\s*:\s*"([A-Za-z]+)")?')
IP = re.compile(r'\blog_ip\s*\(\s*\w+,\s*"([A-Za-z]+)",\s*"([A-Za-z]+)"')
# "name.ext" that is no event, in a room where the first word is also the beginning of events
NOT_EVENTS = {"control.sock"}


def documented(text):
    """name -> (levels, keys), from the tables."""
    rows = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.split("|")]
        m = re.fullmatch(r"`([a-z]+\.[a-z0-9-]+)`", cells[1]) if len(cells) > 5 else None
        if m:
            rows[m[1]] = (set(re.split(r"[, ]+", cells[2])), set(re.findall(r"`(\w+)`", cells[3])))
    return rows


def main():
    page = (TOP / "docs" / "events.md").read_text()
    rows = documented(page)
    spaces = {n.split(".")[0] for n in rows}
    words = set(re.findall(r"`(\w+)`", page))
    bad, said = [], set()
    for path in sorted((TOP / "src").glob("*/*.c")):
        name = path.relative_to(TOP).as_posix()
        if name.startswith(("src/main/explain", "src/bench/")):
            continue  # they speak about events
        text = re.sub(r"/\*.*?\*/|^\s*#\s*include.*?$", "", path.read_text(), flags=re.S | re.M)
        for m in CALL.finditer(text):
            said.add(m[2])
            levels = {LEVEL[w] for w in re.findall(r"LOG_LEVEL_[A-Z]+", m[1].rsplit("(", 1)[-1]) if w in LEVEL}
            if m[2] not in rows:
                bad.append(f"{name}: {m[2]} is not in docs/events.md")
            elif len(levels) == 1 and not levels <= rows[m[2]][0]:
                bad.append(f"{name}: {m[2]} is said at level {levels.pop()}, docs/events.md says {', '.join(rows[m[2]][0])}")
        for literal in LITERAL.findall(text):
            if literal.split(".")[0] in spaces and literal not in NOT_EVENTS:
                said.add(literal)
                if literal not in rows:
                    bad.append(f"{name}: {literal} is not in docs/events.md")
        if name.startswith("src/base/"):
            continue
        for m in list(KEY.finditer(text)) + list(IP.finditer(text)):
            for key in m.groups():
                if key and key not in words:
                    bad.append(f"{name}: the key {key} is not in docs/events.md")
    for n in sorted(set(rows) - said):
        bad.append(f"docs/events.md: {n} is nowhere in the source")
    keys = set()
    for path in (TOP / "src").glob("*/*.c"):
        keys |= set(re.findall(r'"([A-Za-z]+)"', path.read_text()))
    for n, (_, row_keys) in sorted(rows.items()):
        for key in sorted(row_keys - keys):
            bad.append(f"docs/events.md: {n}: no line has a key {key}")
    for b in sorted(set(bad)):
        print(b)
    print(f"{len(rows)} events")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
