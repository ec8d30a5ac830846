"""A daemon that users submit mail to, and the sending side's half of SASL."""
import base64
import hashlib
import hmac
import os

from postern import Daemon, run, trusting

PASSWORD = "correct horse battery"
LISTENERS = {"mx": {"tls": "starttls"}, "submission": {"tls": "starttls", "role": "submission"},
             "submissions": {"tls": "implicit", "role": "submission"}}


def passwd(d, *words, password=PASSWORD, check=True):
    return run(d.argv("x")[0], "passwd", *words, input=password.encode() + b"\n", check=check)


def submission_daemon(hop=None, users=("alice@example.test",), options=None, extra="", start=True, listeners=None, **kw):
    if hop:
        extra += f'''
delivery "out" {{ type = smtp address = "127.0.0.1:{hop.port}" }}
relay {{ delivery = "out" }}
queue {{ first-retry = 1s longest-retry = 2s }}
'''
    d = Daemon(listeners=listeners or LISTENERS, start=False, extra=extra, options=options, **kw)
    d.users = d.dir / "users"
    d.options.setdefault("users", f'"{d.users}"')
    for u in users:
        passwd(d, "-c", d.users, u)
    d.write()
    if start:
        d.start()
    return d


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def unb64(text):
    return base64.b64decode(text).decode()


def plain(user, password=PASSWORD, acting=""):
    return b64(f"{acting}\0{user}\0{password}")


def in_tls(d, listener="submission"):
    c = d.client(listener, tls=trusting() if listener == "submissions" else None)
    c.hello()
    if listener == "submission":
        c.starttls()
        c.ehlo = c.ask("EHLO client.example.test")
    return c


class Scram:
    """RFC 5802 with SHA-256 (RFC 7677), without channel binding."""

    def __init__(self, user, password=PASSWORD, gs2="n,,"):
        self.password, self.nonce, self.gs2 = password, b64(os.urandom(18)), gs2
        self.bare = f"n={user},r={self.nonce}"

    def first(self):
        return b64(self.gs2 + self.bare)

    def final(self, challenge):
        self.challenge = unb64(challenge)
        fields = dict(f.split("=", 1) for f in self.challenge.split(","))
        self.salt, self.iterations = fields["s"], int(fields["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(self.salt), self.iterations)
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c={b64(self.gs2)},r={fields['r']}"
        words = ",".join((self.bare, self.challenge, without)).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), words, "sha256")
        self.server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), words, "sha256")
        return b64(without + ",p=" + b64(bytes(a ^ b for a, b in zip(key, signature))))

    def knows(self, words):
        """The server has shown that it knows the user's secret."""
        return unb64(words) == "v=" + b64(self.server)
