#!/usr/bin/env python3
"""A delivery status report as a mail program understands it: standard input in, readable text out."""
import email
import re
import sys


def unfold(value):
    return re.sub(r"\r?\n[ \t]+", " ", str(value))


def blocks(part):
    if part.get_content_type() == "message/delivery-status":
        return [[(k, unfold(v)) for k, v in block.items()] for block in part.get_payload()]
    text = part.get_payload(0).as_bytes().decode("utf-8")
    return [[tuple(line.split(": ", 1)) for line in unfold(b).splitlines()] for b in text.strip("\n").split("\n\n")]


def main():
    raw = sys.stdin.buffer.read()
    msg = email.message_from_bytes(raw)
    assert raw.endswith(b"--\n") and b"\r" not in raw
    assert max(map(len, raw.split(b"\n"))) <= 998, "a line is too long"
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw), "a control byte"
    eight = re.search(rb"[\x80-\xff]", raw) is not None
    assert not eight or msg["Content-Transfer-Encoding"] == "8bit"
    for name in ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"):
        values = msg.get_all(name)
        assert len(values) == 1, name
        value = values[0] if isinstance(values[0], str) else raw.split(b"\n" + name.encode() + b": ")[1].split(b"\n")[0].decode()
        print(f"{name}: {value}")
    assert msg.get_content_type() == "multipart/report" and msg.get_param("report-type") == "delivery-status"
    words, status, original = msg.get_payload()
    for part in (msg, words, status, original):
        assert not part.defects, part.defects
    print(f"== {words.get_content_type()} {words.get_content_charset()}")
    text = words.get_payload(decode=True).decode(words.get_content_charset())
    assert max(map(len, text.split("\n"))) <= 78 or "absurd" in text
    print(text)
    print(f"== {status.get_content_type()}")
    for i, block in enumerate(blocks(status)):
        if i:
            print()
        for name, value in block:
            print(f"{name}: {value}")
    print(f"== {original.get_content_type()} {original['Content-Transfer-Encoding'] or '7bit'}")
    body = raw.split(b"\n--" + msg.get_boundary().encode())[3].split(b"\n\n", 1)[1]
    sys.stdout.flush()
    sys.stdout.buffer.write(body)


main()
