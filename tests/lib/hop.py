"""A next hop for tests: a server that takes mail, refuses it or is down, and a daemon that hands mail to it."""
import contextlib
import re
import socket
import ssl
import threading

from postern import Daemon


class Hop:
    """A server that takes mail, or refuses what it is told to. Its port stays the same while it is down."""

    def __init__(self, lmtp=False, at=None):
        self.lmtp, self.tls, self.refuse, self.got = lmtp, None, {}, []
        self.asked = []  # every recipient of RCPT
        self.mails, self.offers = [], []  # lines of MAIL; more that EHLO says inside TLS
        self.lock, self.open = threading.Lock(), set()
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(at or ("127.0.0.1", 0))
        self.at = probe.getsockname()
        self.port = self.at[1]
        probe.close()
        self.sock = None

    @staticmethod
    def free_port():
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def up(self):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(self.at)
        self.sock.listen(64)
        threading.Thread(target=self.accept, args=(self.sock,), daemon=True).start()
        return self

    def down(self):
        if self.sock:
            self.sock.shutdown(socket.SHUT_RDWR)
            self.sock.close()
            self.sock = None
        with self.lock:
            for c in self.open:
                with contextlib.suppress(OSError):
                    c.shutdown(socket.SHUT_RDWR)

    def accept(self, sock):
        while True:
            try:
                c, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with self.lock:
            self.open.add(c)
        with contextlib.suppress(OSError, ssl.SSLError):
            self.talk(c)
        with self.lock:
            self.open.discard(c)
        with contextlib.suppress(OSError):
            c.close()

    def talk(self, c):
        f = c.makefile("rb")
        say = lambda s: c.sendall(s.encode() + b"\r\n")
        sender, rcpts, in_tls = None, [], False
        say("220 hop.test ready")
        while True:
            line = f.readline()
            if not line:
                return
            verb = line.split(b" ")[0].strip().upper().decode()
            if verb in ("EHLO", "LHLO"):
                offers = ["hop.test", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 1000000"]
                if self.tls and not in_tls:
                    offers.append("STARTTLS")
                elif in_tls:
                    offers += self.offers
                for i, o in enumerate(offers):
                    say(f"250{'-' if i + 1 < len(offers) else ' '}{o}")
            elif verb == "STARTTLS":
                say("220 go")
                c = self.tls.wrap_socket(c, server_side=True)
                f, in_tls = c.makefile("rb"), True
            elif verb == "MAIL":
                with self.lock:
                    self.mails.append(line.decode().strip())
                sender, rcpts = re.search(rb"<(.*?)>", line).group(1).decode(), []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                rcpt = re.search(rb"<(.*?)>", line).group(1).decode()
                with self.lock:
                    self.asked.append(rcpt)
                if rcpt in self.refuse:
                    say(self.refuse[rcpt])
                else:
                    rcpts.append(rcpt)
                    say("250 2.1.5 ok")
            elif verb == "DATA" and not rcpts:
                say("554 5.5.1 nobody")
            elif verb == "DATA":
                say("354 go")
                body = b""
                while True:
                    line = f.readline()
                    if not line:
                        return
                    if line == b".\r\n":
                        break
                    body += line[1:] if line.startswith(b".") else line
                with self.lock:
                    self.got.append((sender, list(rcpts), body, in_tls))
                for _ in rcpts if self.lmtp else [0]:
                    say("250 2.0.0 taken")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")

    def messages(self):
        with self.lock:
            return list(self.got)


def hop_daemon(hop, more="", options=None, **kw):
    kw.setdefault("listeners", {"mx": {"tls": "starttls"},
                                "inside": {"tls": "off", "relay-from": '{"127.0.0.1"}'}})
    return Daemon(extra=f'''
delivery "hop" {{ type = {"lmtp" if hop.lmtp else "smtp"} address = "127.0.0.1:{hop.port}" {more} }}
delivery "out" {{ type = smtp address = "127.0.0.1:{hop.port}" {more} }}
relay {{ delivery = "out" }}
domain "away.test" {{ mailboxes = {{"carol"}} deliver = "hop" }}
domain "ask.test" {{ verify-recipients = yes deliver = "hop" }}
queue {{ first-retry = 1s longest-retry = 2s }}
''', options=options, **kw)
