#!/usr/bin/env python3
"""A sender that is correct, but for the faults that its words name. It knows no queue: what fails is given up."""
import base64
import os
import re
import socket
import ssl
import sys

FAULTS, POLICY = set(sys.argv[1:]), os.environ["BENCH_POLICY"]


class Sender:
    def __init__(self):
        self.sock = socket.create_connection((os.environ["BENCH_HOST"], int(os.environ["BENCH_PORT"])), 4)
        self.buf, self.tls = b"", False

    def reply(self):
        lines = []
        while not lines or lines[-1][3:4] == "-":
            while b"\r\n" not in self.buf:
                got = self.sock.recv(65536)
                if not got:
                    raise EOFError
                self.buf += got
            line, self.buf = self.buf.split(b"\r\n", 1)
            lines.append(line.decode("latin-1"))
            if not lines[-1][:3].isdigit():
                raise ValueError(lines)
        return lines

    def ask(self, text):
        self.sock.sendall(text.encode() + b"\r\n")
        return self.reply()

    def hello(self):
        return [l[4:].upper().strip() for l in self.ask("EHLO client.example.org")[1:]]

    def start_tls(self):
        context = ssl.create_default_context(cafile=os.environ["BENCH_CA"])
        if POLICY != "verified" or "no-verification" in FAULTS:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "believes-injected" not in FAULTS:
            self.buf = b""  # what came in clear behind the 220 is nobody's word
        self.sock = context.wrap_socket(self.sock, server_hostname=os.environ["BENCH_NAME"])
        self.tls = True

    def login(self, words):
        if any(w.startswith("AUTH") for w in words) and (self.tls or "auth-in-clear" in FAULTS):
            self.ask("AUTH PLAIN " + base64.b64encode(b"\0user\0secret").decode())

    def session(self):
        if not self.reply()[0].startswith("220"):
            return "greeting"
        words = self.hello()
        if "STARTTLS" in words and self.ask("STARTTLS")[0].startswith("220"):
            self.start_tls()
            if "believes-injected" in FAULTS and self.buf:
                words = [l[4:].upper().strip() for l in self.reply()[1:]]  # the forged ones
            elif "no-second-ehlo" not in FAULTS:
                words = self.hello()
        self.login(words)
        if not self.tls and POLICY != "opportunistic" and "clear-anyway" not in FAULTS:
            return "no TLS"
        return self.message()

    def message(self):
        for command in ("MAIL FROM:<sender@example.org>", f"RCPT TO:<{os.environ['BENCH_RCPT']}>", "DATA"):
            got = self.ask(command)[0]
            if got[0] not in "23":
                return got
        content = open(os.environ["BENCH_MESSAGE"], "rb").read()
        if "smuggles" not in FAULTS:  # lines end with CR LF, and no other CR, LF or NUL is sent
            content = b"".join(l + b"\r\n" for l in re.split(rb"\r\n|\r|\n", content.replace(b"\0", b""))[:-1])
            content = re.sub(rb"(?m)^\.", b"..", content)
        self.sock.sendall(content)
        got = self.ask(".")[0]
        self.ask("QUIT")
        return "" if got.startswith("2") else got


def attempt():
    try:
        return Sender().session()
    except (OSError, EOFError, ValueError) as e:
        return repr(e)


result = attempt()
if result[:1] == "5" and "retries-5yz" in FAULTS:
    result = attempt()
sys.exit(result or 0)
