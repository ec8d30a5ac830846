#!/usr/bin/env python3
"""Transcripts of postern-bench: every line is of the schema, no secret is in any file, and files keep their bounds."""
import base64
import hashlib
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
import transcripts  # noqa: E402

BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"
COMMON = {"v": 1, "sid": "1-1", "seq": 1, "mono_us": 0, "tls": False}


class Schema(unittest.TestCase):
    """It is worth something only if it refuses what is wrong."""

    def test_it_is_a_schema(self):
        transcripts.jsonschema.Draft202012Validator.check_schema(transcripts.SCHEMA)

    def test_unknown_events_and_missing_fields(self):
        send = {**COMMON, "ev": "send", "code": 250, "enh": None, "lines": ["ok"], "bytes": 8, "delay_ms": 0, "writes": 1}
        self.assertEqual(transcripts.problems(send), [])
        self.assertTrue(transcripts.problems({**send, "ev": "sent"}))
        self.assertTrue(transcripts.problems({**send, "v": 2}))
        self.assertTrue(transcripts.problems({**send, "bytes": "8"}))
        self.assertTrue(transcripts.problems({**send, "raw_b64": "eA=="}))  # that or lines
        self.assertTrue(transcripts.problems({**send, "text": "250 ok"}))
        for key in send:
            self.assertTrue(transcripts.problems({k: v for k, v in send.items() if k != key}), key)
        self.assertFalse(list(transcripts.VALIDATOR.iter_errors({**send, "of_a_later_version": 1})))  # to a reader

    def test_every_event_is_documented(self):
        text = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "bench.md").read_text()
        section = text[text.index("## Transcripts"):text.index("## Verdicts")]
        for event, fields in transcripts.OF_EVENT.items():
            self.assertIn(f"`{event}`", section)
            for field in fields:
                if event not in ("client_hello", "tls_done", "tls_fail"):
                    self.assertIn(f"`{field}`", section, event)

    def test_every_lint_is_documented(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        words = re.findall(r'\[LINT_\w+\] = "([^"]+)"', (root / "src" / "bench" / "lint.c").read_text())
        text = (root / "docs" / "bench.md").read_text()
        section = text[text.index("### Lint"):text.index("## Verdicts")]
        self.assertGreater(len(words), 20)
        self.assertEqual([w for w in words if f"`{w}`" not in section], [])


class Kept(DaemonTest):
    """What is written down."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.out = self.dir / "out"
        (self.dir / "pki").mkdir()
        Ca(self.dir / "pki").issue(self.dir / "pki" / "good-ecdsa.pem", self.dir / "pki" / "good-ecdsa.key", name="mx.bench.test")
        self.conf = self.dir / "mine.conf"

    def serve(self, *words, steps="", out=None):
        self.conf.write_text('scenario "mine" { doc = "d" ehlo { add = {"AUTH PLAIN LOGIN"} } %s }' % steps)
        self.p = subprocess.Popen([str(BENCH), "serve", "--pki", self.dir / "pki", "--out", out or self.out, "--scenario", self.conf, "--only", "mine", *words],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        self.port = int(self.p.stdout.readline().rsplit(":", 1)[1])

    def stop(self):
        if self.p.poll() is None:
            self.p.terminate()
        self.p.wait(PATIENCE)
        if not self.p.stderr.closed:
            self.errors = self.p.stderr.read()
        self.p.stdout.close()
        self.p.stderr.close()
        self.assertEqual(self.p.returncode, 0)
        return self.errors

    def lines(self):
        return [json.loads(l) for l in (self.out / "all.jsonl").read_text().splitlines()]

    def say(self, *commands, tls=False):
        """The answers; a command of bytes is sent as it is, and not waited for."""
        with Client(self.port) as c:
            c.hello()
            if tls:
                c.starttls()
                c.ask("EHLO client.example.test")
            got = []
            for x in commands:
                if isinstance(x, bytes):
                    c.sock.sendall(x)
                else:
                    got.append(c.ask(x).code)
            return got

    def test_a_secret_is_in_no_file(self):
        secrets = [f"geheim{i}" for i in range(12)]
        b64 = [base64.b64encode(f"\0user\0{s}".encode()).decode() for s in secrets]
        word = [base64.b64encode(s.encode()).decode() for s in secrets]
        self.serve(steps='step { at = auth in = clear reply = {"535 5.7.8 no"} }')
        self.say(f"AUTH PLAIN {b64[0]}", f"auth plain {b64[1]}", "AUTH LOGIN", word[2], tls=False)  # refused, and gone on with
        self.say(f"AUTH PLAIN {b64[3]}", "QUIT", tls=True)
        self.say(f"AUTH LOGIN {word[4]}", word[5], tls=True)
        self.say("AUTH LOGIN", word[6], word[7], tls=True)
        self.say("AUTH PLAIN", b64[8], "QUIT", tls=True)
        self.say(f"  AUTH\tPLAIN {b64[9]}", f"AUTH {word[10]}", f"XYZZY {word[10]}", tls=True)
        self.say(f"QUIT\r\nAUTH PLAIN {b64[11]}\r\n{word[11]}\r\n".encode(), b"AUTH PLAIN " + b64[0].encode())  # nobody obeys; half a line
        self.say(f"STARTTLS\r\nAUTH PLAIN {b64[1]}\r\n".encode())
        self.say(b"AUTH PLAIN " + b64[2].encode() + b"\0\r\n", b"AUTH PLAIN " + b64[2].encode())
        self.assertEqual(self.stop(), "")
        events = transcripts.check_dir(self, self.out)
        self.assertEqual(events["session_start"], 9)
        for path in (p for p in self.out.rglob("*") if p.is_file()):
            text = path.read_text()
            for s in secrets + b64 + word:
                self.assertNotIn(s, text, path)
                self.assertNotIn(base64.b64encode(s.encode()).decode().rstrip("=")[:-1], text, path)
        lines = self.lines()
        self.assertGreater(sum(l.get("redacted", False) for l in lines), 15)
        self.assertIn("AUTH PLAIN", [l["raw"] for l in lines if l["ev"] == "recv" and "raw" in l])

    def test_a_secret_that_was_asked_for(self):
        self.serve("--keep-auth")
        self.say("AUTH PLAIN AHVzZXIAZ2VoZWlt", "QUIT", tls=True)
        self.stop()
        self.assertIn("AHVzZXIAZ2VoZWlt", (self.out / "all.jsonl").read_text())

    def test_messages(self):
        self.serve()
        with Client(self.port) as c:
            c.hello()
            for text in (b"Message-ID: <1@x>\n\n.dot\n", b"Message-ID:\n <1@x>\n\n.dot\n", b"Message-ID: <1@x>\n\n.dot\n", b"no id\n"):
                self.assertEqual(c.deliver(text, to=("a@x.test", "b@x.test"), params=" SIZE=100").code, 250)
            c.ask("QUIT")
        self.stop()
        transcripts.check_dir(self, self.out)
        found = [l for l in self.lines() if l["ev"] == "message"]
        self.assertEqual([m["message_id"] for m in found], ["<1@x>", "<1@x>", "<1@x>", None])
        self.assertEqual([m["dup_of"] for m in found], [None, None, found[0]["mid"], None])
        self.assertEqual(found[0]["sha256"], hashlib.sha256(b"Message-ID: <1@x>\r\n\r\n.dot\r\n").hexdigest())
        self.assertEqual((found[0]["size"], found[0]["size_declared"]), (27, 100))
        self.assertEqual(found[0]["rcpts"], [{"addr": a, "params": "", "code": 250} for a in ("a@x.test", "b@x.test")])
        self.assertEqual([(l["id"], l["detail"]) for l in self.lines() if l["ev"] == "lint"], [("duplicate", found[0]["mid"])])

    def test_lines_that_are_not_well(self):
        self.serve(steps='step { at = noop delay_ms = 30 pieces = {"25", "0 o%r%n"} }')
        self.assertEqual(self.say("NOOP", b"\xff\xfe\r\nNO"), [250])
        self.stop()
        transcripts.check_dir(self, self.out)
        lines = self.lines()
        answer = next(l for l in lines if l["ev"] == "send" and l["delay_ms"])
        self.assertEqual((answer["lines"], answer["writes"], answer["delay_ms"]), (["o"], 2, 30))
        bad = [l for l in lines if l["ev"] == "recv"][-2:]
        self.assertEqual((bad[0]["raw_b64"], bad[0]["eol"]), ("//4=", "crlf"))
        self.assertEqual((bad[1]["raw"], bad[1]["eol"], bad[1]["dropped"]), ("NO", "none", True))

    def test_the_oldest_go_first(self):
        self.serve("--max-sessions", "5")
        for _ in range(12):
            self.say("QUIT")
        self.stop()
        self.assertEqual(len(list(self.out.glob("*-*.jsonl"))), 5)
        kept = {l["sid"] for l in self.lines()[-40:]}
        self.assertTrue({p.stem for p in self.out.glob("*-*.jsonl")} >= {sorted(kept, key=lambda s: int(s.split("-")[1], 16))[-1]})
        (self.out / "mine.txt").write_text("x")
        self.serve("--max-sessions", "2")  # what an earlier run left counts, and nobody else's files
        self.say("QUIT")
        self.stop()
        self.assertEqual(len(list(self.out.glob("*-*.jsonl"))), 2)
        self.assertTrue((self.out / "mine.txt").exists())

    def test_so_much_and_no_more(self):
        self.serve("--max-mib", "1")
        for _ in range(8):
            with Client(self.port) as c:
                c.hello()
                for _ in range(60):
                    c.ask("NOOP " + "x" * 4000)
        self.stop()
        total = sum(p.stat().st_size for p in self.out.glob("*.jsonl"))
        self.assertLess(total, 1.1 * 2**20)
        self.assertGreater(total, 2**18)
        self.assertTrue((self.out / "all.1.jsonl").exists())
        transcripts.check_dir(self, self.out)

    def test_a_full_disk_is_said_once(self):
        self.serve()
        resource.prlimit(self.p.pid, resource.RLIMIT_FSIZE, (2000, 2000))
        for _ in range(6):
            self.assertEqual(self.say("NOOP", "QUIT"), [250, 221])
        errors = self.stop()
        self.assertEqual(errors.count("transcripts are incomplete"), 1, errors)
        self.assertEqual(self.p.returncode, 0)
        for path in self.out.glob("*.jsonl"):  # whole lines, or none
            for line in path.read_text().splitlines():
                json.loads(line)

    def test_as_text(self):
        self.serve(steps='step { at = noop inject = "250 forged%r%n" } step { at = rset delay_ms = 5 drip_ms = 1 }')
        for _ in range(2):
            with Client(self.port) as c:
                c.hello()
                c.starttls()
                c.ask("EHLO localhost")
                c.ask("RSET")
                c.ask("NOOP")
                c.reply()
                c.ask("QUIT")
        self.stop()
        text = run(BENCH, "transcript", self.out / "all.jsonl").out
        self.assertEqual(text.count("================ TLS: TLSv1.3"), 2)
        self.assertEqual(text.count(" S! 250 forged\n"), 2)
        self.assertEqual(text.count("?? helo-not-fqdn: EHLO localhost (line "), 2)
        self.assertIn("(held back for 5 ms)", text)
        self.assertIn("(in 14 writes)", text)
        sid = self.lines()[-1]["sid"]
        one = run(BENCH, "transcript", "--sid", sid, "-", input=(self.out / "all.jsonl").read_bytes()).out
        self.assertEqual(one, run(BENCH, "transcript", self.out / f"{sid}.jsonl").out)
        self.assertIn(one, text)
        self.assertEqual(run(BENCH, "transcript", "--sid", "0-0", self.out / "all.jsonl", check=False).returncode, 2)
        self.assertEqual(run(BENCH, "transcript", "-", input=b"{", check=False).returncode, 2)


if __name__ == "__main__":
    main()
