#!/usr/bin/env python3
"""The dialogs of tests/dialogs/ against the live daemon: in clear, behind STARTTLS, on an implicit TLS port.
Their format is told in tests/dialogs/README; unit tests drive the engine alone with the same files."""
import pathlib
import select
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

DIALOGS = pathlib.Path(__file__).resolve().parents[1] / "dialogs"
DEFAULTS = {"max-message-size": "1000000", "max-recipients": "1000", "max-messages": "0", "max-errors": "0", "max-line": "512",
            "max-hops": "30", "max-body-line": "0", "smtputf8": "yes", "normalize-newlines": "no", "help-shows-reason": "no"}
OPTIONS = {"max-messages": "max-messages-per-session", "max-line": "max-line-length", "max-hops": "max-received-hops"}
ESCAPES = {"r": b"\r", "n": b"\n", "0": b"\0", "t": b"\t", "\\": b"\\"}


def unescape(text):
    def one(m):
        word = m.group(1)
        return bytes([int(word[1:], 16)]) if word[0] == "x" else ESCAPES[word]
    out, at = b"", 0
    for m in re.finditer(r"\\(x[0-9A-Fa-f]{2}|.)", text):
        out += text[at:m.start()].encode() + one(m)
        at = m.end()
    return out + text[at:].encode()


class Dialog:
    def __init__(self, path):
        self.path, self.live, self.modes = path, True, ["plain", "starttls", "implicit"]
        self.settings, self.tls, self.lines = dict(DEFAULTS), "offered", []
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if line.startswith("# live:"):
                self.live = line.split(":")[1].split()[0] == "yes"
            elif line.startswith("# modes:"):
                self.modes = line.split(":")[1].split()
            elif line.startswith("@ set "):
                self.settings[line.split()[2]] = line.split()[3]
            elif line.startswith("@ tls "):
                self.tls = line.split()[2]
            elif line and not line.startswith("#"):
                self.lines.append((number, line))

    def setup(self):
        return tuple(sorted(self.settings.items())) + (("tls", self.tls),)


class Driver:
    """One dialog over one connection."""

    def __init__(self, d, dialog, mode):
        self.d, self.dialog, self.mode = d, dialog, mode
        self.seen = set(d.messages("alice")) | set(d.messages("bob"))
        self.pending, self.skip_banner, self.closed = b"", mode == "starttls", False
        self.c = d.client("implicit" if mode == "implicit" else "mx", tls=trusting() if mode == "implicit" else None)
        if mode == "starttls":
            self.c.hello()
            self.c.starttls()

    def fail(self, number, words):
        raise AssertionError(f"{self.dialog.path.name}:{number} ({self.mode}): {words}")

    def flush(self):
        data, self.pending = self.pending, b""
        if data:
            with contextlib.suppress(ConnectionError):  # closed while we still talk: the reply that is there counts
                self.c.send(data)

    def line(self, number):
        try:
            got = self.c.line()
        except (OSError, EOFError) as e:
            self.fail(number, f"no reply: {e!r}")
        if len(got) + 2 > 512:
            self.fail(number, "a reply line of %d bytes" % (len(got) + 2))  # RFC 5321 4.5.3.1.5
        return got

    def lines_of_reply(self, number):
        lines = [self.line(number)]
        while lines[-1][3:4] == "-":
            lines.append(self.line(number))
        return lines

    def matches(self, pattern, text):
        return re.match(".*".join(re.escape(p) for p in pattern.split("*")), text) is not None

    def ehlo(self, number, wants):
        lines = self.lines_of_reply(number)
        if not all(l.startswith("250") for l in lines):
            self.fail(number, lines)
        for want in wants.split():
            found = any(self.matches(want[1:], l[4:]) for l in lines[1:])
            if found != (want[0] == "+"):
                self.fail(number, f"{want} in {lines}")

    def message(self, number, wanted):
        new = wait_until(lambda: (set(self.d.messages("alice")) | set(self.d.messages("bob"))) - self.seen)
        newest = max(new, key=lambda p: (p.stat().st_mtime_ns, p.name))
        got = below_ours(newest.read_bytes())
        if got != wanted:
            self.fail(number, f"accepted {got!r}, wanted {wanted!r}")

    def directive(self, number, words):
        if words[:1] == ["closed"]:
            if not self.c.ended():
                self.fail(number, "the connection goes on")
            self.closed = True
        elif words == ["handshake"]:
            self.c.sock = trusting().wrap_socket(self.c.sock, server_hostname="mx.example.test")
        elif words == ["handshake", "fail"]:
            self.c.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00garbage")
            with contextlib.suppress(OSError):  # an alert, perhaps, and the end
                while self.c.sock.recv(4096):
                    pass
            self.c.buf = b""
        elif words == ["handshake", "injected"]:
            if not self.c.ended():
                self.fail(number, "the bytes behind STARTTLS got an answer")
        # the rest is the engine's alone

    def run(self):
        body = b""
        for i, (number, line) in enumerate(self.dialog.lines):
            tag, text = line[:2], line[3:]
            if tag == "C:":
                self.pending += unescape(text) + b"\r\n"
                continue
            if tag == "C\\":
                self.pending += unescape(text)
                continue
            if tag == "C*":
                times, text = text.split(" ", 1)
                self.pending += unescape(text) * int(times)
                continue
            self.flush()
            if tag == "S:" and self.skip_banner:
                self.skip_banner = False
            elif tag == "S:":
                got = self.line(number)
                if not self.matches(text, got):
                    self.fail(number, f"wanted {text}, got {got}")
            elif tag == "R:":
                got = self.lines_of_reply(number)
                if any(not l.startswith(text[:3]) for l in got):
                    self.fail(number, f"wanted {text}, got {got}")
            elif tag == "E:":
                self.ehlo(number, text)
            elif tag in ("B:", "B\\"):
                body += unescape(text) + (b"\n" if tag == "B:" else b"")
                if i + 1 == len(self.dialog.lines) or self.dialog.lines[i + 1][1][:2] not in ("B:", "B\\"):
                    self.message(number, body)
                    body = b""
            elif line.startswith("@ "):
                self.directive(number, line[2:].split())
            else:
                self.fail(number, f"what is {line!r}?")
        self.flush()
        self.at_end()

    def at_end(self):
        """Nothing more is said, and who was not thrown out is still there."""
        if self.closed:
            return
        if self.c.buf:
            self.fail("end", f"not expected: {self.c.buf!r}")
        if select.select([self.c.sock], [], [], 0)[0]:
            self.fail("end", f"not expected: {self.c.sock.recv(4096)!r}")


class Dialogs(DaemonTest):
    def configured(self, setup):
        s = dict(setup)
        state = s.pop("tls")
        options = {"bare-newline": "normalize" if s.pop("normalize-newlines") == "yes" else "refuse",
                   "diagnostic-networks": '{"127.0.0.0/8"}' if s.pop("help-shows-reason") == "yes" else "{}"}
        s.pop("smtputf8")
        options.update({OPTIONS.get(k, k): v for k, v in s.items()})
        mx = {"tls": "off" if state == "off" else "starttls"}
        if state == "withheld":
            mx["no-starttls-for"] = '{"127.0.0.0/8"}'
        if state == "tempfail":
            mx["without-certificate"] = "tempfail"
        if state in ("require", "broken"):
            mx["require-tls"] = "yes"
        d = self.prepared(options=options, listeners={"mx": mx, "implicit": {"tls": "implicit"}})
        if state in ("none", "tempfail", "broken"):
            d.chain.unlink()
        return d.start()

    def drive(self, dialogs):
        d = self.configured(dialogs[0].setup())
        for dialog in dialogs:
            for mode in dialog.modes:
                with self.subTest(dialog=dialog.path.name, mode=mode):
                    driver = Driver(d, dialog, mode)
                    try:
                        driver.run()
                    finally:
                        driver.c.close()


def tests():
    """One test for each configuration that dialogs ask for."""
    groups = {}
    for path in sorted(DIALOGS.glob("*.txt")):
        dialog = Dialog(path)
        if not dialog.live:
            continue
        groups.setdefault(dialog.setup(), []).append(dialog)
    for setup, dialogs in groups.items():
        name = "test_" + (dialogs[0].path.stem.replace("-", "_") if setup != Dialog(DIALOGS / "simple.txt").setup() else "defaults")

        def test(self, dialogs=dialogs, setup=setup):
            if dict(setup)["smtputf8"] == "no":
                self.skipTest("no option switches SMTPUTF8 off: the engine's own tests drive this one")
            self.drive(dialogs)
        setattr(Dialogs, name, test)


tests()

if __name__ == "__main__":
    main()
