#!/usr/bin/env python3
"""A sender with a small queue: what is refused for now is tried again, each recipient is done for itself, and without TLS
that works an opportunistic one takes a new connection. It is correct, but for the faults that its words name:

    believes-injected   what came in clear behind the 220 is read as an answer inside TLS
    clear-anyway        goes on in clear where TLS is required
    retries-5yz         tries again what was refused for good
    loses-recipient     takes 4yz to one of several recipients for delivered
    smuggles            sends bare CR and LF as they are, and stuffs no dots
    no-second-ehlo      believes inside TLS what EHLO said in clear
    auth-in-clear       sends its password where no TLS protects it
    no-verification     takes any certificate under the policy `verified`

As a command it does what the environment says (docs/bench.md); exit code 0: all was delivered."""
import base64
import functools
import os
import re
import socket
import ssl
import sys
import time

TRIES, SILENT, PAUSE = 7, 2, 1.1  # at most so many; of those that end in silence; one second between them is "at once"
ANSWER, HANDSHAKE, DOT = 20, 20, 20  # seconds; a real one waits for minutes


class Later(Exception):
    """This session is of no use."""


class NoTls(Later):
    """... because of TLS: another one may do without."""


class Never(Exception):
    """Refused for good, all of it."""


@functools.lru_cache
def trusting(ca, verifies):
    context = ssl.create_default_context(cafile=ca)
    if not verifies:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Session:
    """One connection: lines, TLS, extensions."""

    def __init__(self, env, faults):
        self.env, self.faults, self.tls, self.words, self.buf = env, faults, False, {}, b""
        self.sock = socket.create_connection((env["BENCH_HOST"], int(env["BENCH_PORT"])), ANSWER)
        if env["BENCH_IMPLICIT"] == "yes":
            self.handshake()

    def close(self):
        self.sock.close()

    def fill(self, timeout):
        self.sock.settimeout(timeout)
        got = self.sock.recv(65536)
        if not got:
            raise Later("the connection ended")
        self.buf += got
        if len(self.buf) > 1 << 20:
            raise Later("an answer without an end")

    def reply(self, timeout=ANSWER):
        """The code and the texts of a whole reply."""
        texts, code, until = [], None, time.monotonic() + timeout
        while True:
            while b"\n" not in self.buf:
                self.fill(max(0.01, until - time.monotonic()))
            line, self.buf = self.buf.split(b"\n", 1)
            parts = re.fullmatch(rb"(\d\d\d)(?:([ -])(.*))?\r", line, re.S)
            if not parts or b"\r" in (parts[3] or b"") or (code and code != parts[1]) or len(texts) > 500:
                raise Later(f"no answer: {line[:60]!r}")
            code = parts[1]
            texts.append((parts[3] or b"").decode("latin-1"))
            if parts[2] != b"-":
                if code == b"421":
                    raise Later("421")
                return int(code), texts

    def ask(self, text, timeout=ANSWER):
        self.sock.settimeout(timeout)
        self.sock.sendall(text.encode() + b"\r\n")
        return self.reply(timeout)

    def offer(self, texts):
        self.words = {}
        for t in texts[1:]:
            word, _, rest = t.strip().partition(" ")
            self.words[word.split("=")[0].upper()] = rest

    def hello(self):
        code, texts = self.ask("EHLO client.example.org")
        if code in (500, 502):
            code, texts = self.ask("HELO client.example.org")[0], [""]
        if code != 250:
            raise (Never if code >= 500 else Later)(f"EHLO: {code}")
        self.offer(texts)

    def handshake(self):
        if "believes-injected" not in self.faults:
            self.buf = b""  # what came in clear behind the 220 is nobody's word
        self.sock.settimeout(HANDSHAKE)
        context = trusting(self.env["BENCH_CA"], self.env["BENCH_POLICY"] == "verified" and "no-verification" not in self.faults)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=self.env["BENCH_NAME"])
        except (OSError, ValueError) as e:
            raise NoTls(f"handshake: {e!r}") from e
        self.tls = True

    def start_tls(self):
        """True: the session goes on, in TLS or, where that is allowed, without."""
        must = self.env["BENCH_POLICY"] != "opportunistic" and "clear-anyway" not in self.faults
        if "STARTTLS" not in self.words:
            return not must
        code = self.ask("STARTTLS")[0]
        if code != 220:
            if 400 <= code and not must:
                return True
            raise NoTls(f"STARTTLS: {code}")
        self.handshake()
        forged = self.buf
        if "no-second-ehlo" in self.faults:
            return True
        try:
            if forged:  # the answer to EHLO, as this one believes, whose own will be read as that to AUTH
                self.sock.sendall(b"EHLO client.example.org\r\n")
                self.offer(self.reply()[1])
            else:
                self.hello()
        except (Later, Never, OSError) as e:
            raise NoTls(f"EHLO inside TLS: {e!r}") from e
        return True

    def login(self):
        if "AUTH" not in self.words or not (self.tls or "auth-in-clear" in self.faults):
            return
        code = self.ask("AUTH PLAIN " + base64.b64encode(b"\0user\0secret").decode())[0]
        if code >= 400:
            raise (Later if code < 500 else Never)(f"AUTH: {code}")

    def begin(self, without_tls):
        code = self.reply()[0]
        if code != 220:
            raise (Never if code >= 500 else Later)(f"greeting: {code}")
        self.hello()
        if "auth-in-clear" in self.faults and not self.tls:
            self.login()
        if not self.tls and not without_tls and not self.start_tls():
            raise Later("no TLS")
        self.login()

    def quit(self):
        try:
            self.ask("QUIT")
        except (OSError, Later):
            pass


class Queue:
    def __init__(self, env, faults):
        self.env, self.faults = env, faults
        self.messages = [open(m, "rb").read() for m in env.get("BENCH_MESSAGES", env["BENCH_MESSAGE"]).split()]
        self.open = {(m, r) for m in range(len(self.messages)) for r in env.get("BENCH_RCPTS", env["BENCH_RCPT"]).split()}
        self.failed, self.again, self.why = set(), set(), ""

    def text(self, m):
        raw = self.messages[m]
        if "smuggles" in self.faults:
            return raw
        lines = re.split(rb"\r\n|\r|\n", raw.replace(b"\0", b""))  # lines end with CR LF, and no other CR, LF or NUL is sent
        raw = b"".join(l + b"\r\n" for l in (lines[:-1] if not lines[-1] else lines))
        return re.sub(rb"(?m)^\.", b"..", raw)

    def done(self, m, rcpts):
        self.open -= {(m, r) for r in rcpts}

    def refuse(self, m, rcpts, why):
        """For good."""
        items = {(m, r) for r in rcpts} & self.open
        self.open -= items
        self.failed |= items
        self.why = why
        if "retries-5yz" in self.faults and not items <= self.again:
            self.again |= items
            self.open |= items

    def parameters(self, s, m, text, rcpts):
        """Of MAIL; None: this server cannot be given that message (RFC 1870 6.1, RFC 6152 3, RFC 6531 3.2)."""
        words = ""
        eight, utf8 = any(c > 127 for c in text), any(not r.isascii() for r in rcpts)
        size = s.words.get("SIZE", "")
        if size.isdigit() and 0 < int(size) < len(text) or eight and "8BITMIME" not in s.words or utf8 and "SMTPUTF8" not in s.words:
            self.refuse(m, rcpts, "not for this server")
            return None
        if "SIZE" in s.words:
            words += f" SIZE={len(text)}"
        if eight:
            words += " BODY=8BITMIME"
        return words + (" SMTPUTF8" if utf8 else "")

    def recipients(self, s, m, rcpts):
        taken = []
        for r in rcpts:
            code = s.ask(f"RCPT TO:<{r}>")[0]
            if code // 100 == 2:
                taken.append(r)
            elif code == 552 or code // 100 == 4:
                self.why = f"RCPT: {code}"
                if "loses-recipient" in self.faults and len(rcpts) > 1:
                    self.done(m, [r])
            elif code // 100 == 5:
                self.refuse(m, [r], f"RCPT: {code}")
            else:
                raise Later(f"RCPT: {code}")
        return taken

    def message(self, s, m, rcpts):
        text = self.text(m)
        words = self.parameters(s, m, text, rcpts)
        if words is None:
            return
        code = s.ask(f"MAIL FROM:<sender@example.org>{words}")[0]
        taken = self.recipients(s, m, rcpts) if code // 100 == 2 else []
        if code // 100 == 5:
            self.refuse(m, rcpts, f"MAIL: {code}")
        if not taken:
            if self.open:
                s.ask("RSET")
            return
        code = s.ask("DATA")[0]
        if code == 354:
            s.sock.sendall(text)
            code = s.ask(".", DOT)[0]
        elif code < 400:
            raise Later(f"DATA: {code}")
        if code // 100 == 2:
            self.done(m, taken)
        elif code // 100 == 5:
            self.refuse(m, taken, f"content: {code}")
        else:
            self.why = f"content: {code}"

    def limits(self, s):
        found = dict(w.split("=", 1) for w in s.words.get("LIMITS", "").split() if "=" in w)
        return int(found.get("MAILMAX", 1000)), int(found.get("RCPTMAX", 1000))

    def session(self, without_tls):
        s = Session(self.env, self.faults)
        try:
            s.begin(without_tls)
            mails, most = self.limits(s)
            for m in sorted({m for m, _ in self.open}):
                rcpts = sorted(r for n, r in self.open if n == m)
                for i in range(0, len(rcpts), most):
                    if mails:
                        self.message(s, m, rcpts[i:i + most])
                    mails = max(0, mails - 1)
            s.quit()
        except Never as e:
            self.why = repr(e)
            for m in range(len(self.messages)):
                self.refuse(m, [r for n, r in self.open if n == m], repr(e))
            s.quit()
        except NoTls:
            s.close()
            raise
        except Later as e:
            if str(e) in ("no TLS", "421") or str(e).startswith(("greeting", "EHLO", "AUTH")):
                s.quit()
            raise
        finally:
            s.close()

    def run(self):
        without_tls, silent = False, 0
        for _ in range(TRIES):
            if not self.open or silent == SILENT:
                break
            before, pause = without_tls, PAUSE
            try:
                self.session(without_tls)
            except NoTls as e:
                self.why = repr(e)
                without_tls = self.env["BENCH_POLICY"] == "opportunistic" or "clear-anyway" in self.faults
                pause = 0 if without_tls != before else PAUSE
                silent += isinstance(e.__cause__, TimeoutError)
            except (Later, OSError) as e:
                self.why = repr(e)
                silent += isinstance(e, TimeoutError)
            if self.open:
                time.sleep(pause)
        return "" if not self.open and not self.failed else self.why or "not delivered"


def deliver(env, faults):
    """"": all was delivered; else why not."""
    return Queue(env, set(faults)).run()


if __name__ == "__main__":
    sys.exit(deliver(os.environ, sys.argv[1:]) or 0)
