"""A next hop that does wrong on purpose, one listener for each way.

A script is a dict; what it does not name is done right. Values of steps: bytes are sent as they are, a list is sent in
pieces with a pause of a moment, CLOSE ends the connection, RST resets it, a tuple is several of these in order.

    banner ehlo helo starttls mail data dot rset quit       what is answered
    rcpt                                                    ... or a dict by local part, "*" for the rest
    tls_ehlo                                                EHLO inside TLS
    tls                                                     "none": STARTTLS is offered and bytes follow in clear
                                                            bytes: sent in place of a ServerHello
    handshake                                               an ssl.SSLContext
    most, full                                              so many recipients of one message, then that
    body_most                                               the connection ends after so many bytes of content
    early                                                   sent in the middle of the content
    group                                                   one answer to everything up to DATA, whatever was said
    auth                                                    answers to AUTH and to each line after it, in order
    bdat                                                    answer to each chunk
    lost                                                    what comes in place of the reply to content that was taken
    first                                                   (n, script): so the first n connections go
    first_mails                                             ... or, the connection being kept, the first n messages
"""
import contextlib
import socket
import ssl
import struct
import threading
import time

CLOSE, RST, OFFERS = object(), object(), (b"PIPELINING", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"SIZE 1000000")


def ehlo(*words, code=b"250"):
    words = (b"bad.test",) + words
    return b"".join(code + (b" " if i + 1 == len(words) else b"-") + w + b"\r\n" for i, w in enumerate(words))


GOOD = ehlo(*OFFERS)
GOOD_TLS = ehlo(*OFFERS, b"STARTTLS")


class End(Exception):
    pass


class BadHop:
    def __init__(self, script, context):
        self.script, self.context, self.lock = script, script.get("handshake", context), threading.Lock()
        self.sessions, self.mails, self.clear_mails, self.accepted, self.commands = 0, 0, 0, [], []
        self.clear_auths, self.auths = 0, 0
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        if script.get("listen", True):
            self.sock.listen(16)
            threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        c.settimeout(120)
        with self.lock:
            self.sessions += 1
            n, early = self.script.get("first", (0, None))
            script = early if self.sessions <= n else self.script
        with contextlib.suppress(OSError, ssl.SSLError, End):
            Session(self, c, script).run()
        with contextlib.suppress(OSError):
            c.close()

    def stop(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Session:
    def __init__(self, hop, c, script):
        self.hop, self.c, self.buf, self.in_tls, self.script = hop, c, b"", False, script

    def say(self, what):
        if isinstance(what, tuple):
            for w in what:
                self.say(w)
        elif what is CLOSE:
            with contextlib.suppress(OSError):
                self.c.shutdown(socket.SHUT_RDWR)
            raise End
        elif what is RST:
            self.c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise End
        elif isinstance(what, list):
            for piece in what:
                self.c.sendall(piece)
                time.sleep(0.002)  # a segment of its own; nothing depends on it
        else:
            self.c.sendall(what)

    def step(self, name, good):
        self.say(self.script.get(name, good))

    def line(self):
        while b"\n" not in self.buf:
            got = self.c.recv(65536)
            if not got:
                raise End
            self.buf += got
        line, self.buf = self.buf.split(b"\n", 1)
        return line

    def starttls(self):
        self.step("starttls", b"220 go\r\n")
        how = self.script.get("tls")
        if how == "none":
            return
        if how is not None:
            self.c.recv(65536)  # the ClientHello
            self.say(how)
            raise End
        self.c = self.hop.context.wrap_socket(self.c, server_side=True)
        self.buf, self.in_tls = b"", True

    def content(self):
        body = b""
        while True:
            line = self.line() + b"\n"
            if line == b".\r\n":
                return body
            body += line[1:] if line.startswith(b".") else line
            if len(body) > self.script.get("body_most", 1 << 30):
                self.say(self.script.get("body_end", CLOSE))
            if "early" in self.script and len(body) > 20000:
                self.say(self.script["early"])
                raise End

    def auth(self):
        with self.hop.lock:
            self.hop.auths += 1
            self.hop.clear_auths += not self.in_tls
        answers = self.script.get("auth", [b"235 2.7.0 welcome\r\n"])
        for i, answer in enumerate(answers):
            if i:
                self.line()
            self.say(answer)

    def chunk(self, line):
        """One BDAT; its bytes, and whether it was the last."""
        words = line.split()
        n = int(words[1])
        while len(self.buf) < n:
            got = self.c.recv(65536)
            if not got:
                raise End
            self.buf += got
        body, self.buf = self.buf[:n], self.buf[n:]
        return body, words[-1].upper() == b"LAST"

    def rcpt(self, address, rcpts):
        if len(rcpts) >= self.script.get("most", 1000):
            self.say(self.script["full"])
            return
        rows = self.script.get("rcpt")
        if isinstance(rows, dict):
            rows = rows.get(address.split(b"@")[0].decode(), rows.get("*"))
        if rows is None or rows == "ok":
            rcpts.append(address.decode())
            self.say(b"250 2.1.5 ok\r\n")
        else:
            if isinstance(rows, bytes) and rows.startswith(b"2"):
                rcpts.append(address.decode())
            self.say(rows)

    def run(self):
        rcpts, begun, chunks = [], False, b""
        self.step("banner", b"220 bad.test ESMTP\r\n")
        while True:
            line = self.line()
            verb = line.split(b" ")[0].strip().upper()
            with self.hop.lock:
                self.hop.commands.append(verb.decode(errors="replace"))
            if verb == b"EHLO":
                self.step("tls_ehlo" if self.in_tls else "ehlo", GOOD if self.in_tls else GOOD_TLS)
            elif verb == b"HELO":
                self.step("helo", b"250 bad.test\r\n")
            elif verb == b"STARTTLS":
                self.starttls()
            elif verb == b"MAIL":
                with self.hop.lock:
                    self.hop.mails += 1
                    self.hop.clear_mails += not self.in_tls
                    n, early = self.hop.script.get("first_mails", (0, None))
                    self.script = early if self.hop.mails <= n else self.script if n == 0 else self.hop.script
                rcpts, chunks = [], b""
                if "group" in self.script:
                    while self.line().split(b" ")[0].strip().upper() != b"DATA":
                        pass
                    self.say(self.script["group"])
                    continue
                self.step("mail", b"250 2.1.0 ok\r\n")
                begun = "mail" not in self.script
            elif verb in (b"RCPT", b"DATA") and not begun:
                self.say(b"503 5.5.1 MAIL first\r\n")
            elif verb == b"RCPT":
                self.rcpt(line.split(b"<")[1].split(b">")[0], rcpts)
            elif verb == b"DATA":
                if not rcpts and "data" not in self.script:
                    self.say(b"554 5.5.1 nobody\r\n")
                    continue
                self.step("data", b"354 go\r\n")
                if not self.script.get("data", b"354").startswith(b"354"):
                    continue
                body = self.content()
                dot = self.script.get("dot", b"250 2.0.0 taken\r\n")
                first = dot[0] if isinstance(dot, (tuple, list)) else dot
                if isinstance(first, bytes) and first.startswith(b"250"):
                    with self.hop.lock:
                        self.hop.accepted += [(r, body) for r in rcpts]
                self.say(self.script.get("lost", dot))
            elif verb == b"BDAT":
                body, last = self.chunk(line)
                chunks += body
                if last and "bdat" not in self.script:
                    with self.hop.lock:
                        self.hop.accepted += [(r, chunks) for r in rcpts]
                self.step("bdat", b"250 2.0.0 ok\r\n")
            elif verb == b"AUTH":
                self.auth()
            elif verb == b"RSET":
                self.step("rset", b"250 2.0.0 ok\r\n")
            elif verb == b"QUIT":
                self.step("quit", (b"221 2.0.0 bye\r\n", CLOSE))
            else:
                self.say(b"250 2.0.0 ok\r\n")
