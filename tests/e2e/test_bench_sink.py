#!/usr/bin/env python3
"""postern-bench sink: what it counts is what was sent, in clear and in TLS, it says the same bytes as the scenario it plays
when that is written down, and no client makes it grow or hang."""
import pathlib
import pty
import resource
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", "build"))
BENCH = BUILD / "postern-bench"
LOADGEN = (BUILD.parent if IS_ASAN else BUILD) / "bench" / "loadgen"  # not the sanitized one, which gives nothing back
ASAN_KEEPS = 512 << 20  # of what was freed
MIB = 1 << 20


class Sink(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.pki = pathlib.Path(tempfile.mkdtemp(prefix="sink-pki-"))
        cls.addClassCleanup(shutil.rmtree, cls.pki, True)
        run(BENCH, "pki", cls.pki, timeout=10 * PATIENCE)  # keys of every kind

    def sink(self, *words, command="sink", **kw):
        """Started, and its port."""
        p = subprocess.Popen([str(w) for w in (BENCH, command, "--pki", self.pki, *words)], stdin=subprocess.DEVNULL,
                             **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kw})
        self.addCleanup(self.stop, p)
        if p.stdout:
            self.port = int(p.stdout.readline().rsplit(b":", 1)[1])
        self.p = p
        return p

    def stop(self, p):
        if p.poll() is None:
            p.terminate()
        p.wait(PATIENCE)
        for f in filter(None, (p.stdout, p.stderr)):
            if not f.closed:
                if f is p.stderr:
                    self.assertEqual(f.read() or b"", b"")
                f.close()

    def summary(self, signal_=signal.SIGTERM):
        """Of a sink with --json, at its end."""
        self.p.send_signal(signal_)
        self.assertEqual(self.p.wait(PATIENCE), 0)
        return json.loads(self.p.stdout.read().splitlines()[-1])

    def client(self, **kw):
        return Client(self.port, **kw)

    def load(self, *words):
        done = run(LOADGEN, "--connect", f"127.0.0.1:{self.port}", "--json", "--seconds", 200, *words, timeout=220)
        return json.loads(done.out)

    def rss(self):
        text = pathlib.Path(f"/proc/{self.p.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024

    def cpu(self):
        return sum(map(int, pathlib.Path(f"/proc/{self.p.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    # -- what it counts

    def test_it_counts(self):
        self.sink("--json", "--no-tls")
        sent = self.load("--sessions", 8, "--messages", 5, "--repeat", 3, "--size", 2000)
        self.assertEqual((sent["messages"], sent["failures"]), (120, {}))
        with self.client() as c:
            c.hello()
            c.expect("MAIL FROM:<a@b.test>", 250)
            c.expect("DATA", 554)  # nobody to take it: that is no message
            c.expect("QUIT", 221)
        got = self.summary()
        self.assertEqual((got["messages"], got["sessions"], got["refused"], got["handshakes"]), (120, 25, 0, 0))
        self.assertEqual(got["octets"], 120 * 2003)  # as they came, the dot included
        self.assertGreater(got["rate"], 0)
        self.assertGreater(got["cpu_per_1000"], 0)

    def test_a_summary_for_readers(self):
        p = self.sink("--every", 1)
        with self.client() as c:
            c.hello()
            c.starttls()
            c.expect("EHLO x.test", 250)
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
            line = p.stdout.readline().decode()
            self.assertRegex(line, r"^ +\d+ s +1 messages +\d+/s +[0-9.]+ MiB/s +\d+ handshakes/s +1 open +\d+ % CPU$")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(PATIENCE), 0)
        said = p.stdout.read().decode()
        self.assertIn("\nmessages    1 in ", "\n" + said)
        self.assertIn("\nhandshakes  1, 0 of them resumed; 0 failed;", said)
        self.assertRegex(said, r"\nCPU         [0-9.]+ s user, [0-9.]+ s system: [0-9.]+ s per 1,000 messages\n$")

    def test_on_a_terminal_it_says_its_rate(self):
        ours, its = pty.openpty()
        self.sink("--no-tls", stdout=its)
        os.close(its)
        os.set_blocking(ours, False)
        said = b""

        def rate():
            """a line with a rate"""
            nonlocal said
            with contextlib.suppress(BlockingIOError):
                said += os.read(ours, 1000)
            return b" messages " in said
        wait_until(rate)
        self.p.terminate()
        self.p.wait(PATIENCE)
        os.close(ours)

    def test_tls(self):
        self.sink("--json")
        context, session = trusting(), None
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is there when the handshake is over
        for _ in range(3):
            with self.client() as c:
                c.hello()
                c.expect("STARTTLS", 220)
                c.sock = context.wrap_socket(c.sock, server_hostname="mx.bench.test", session=session)
                session = c.sock.session
                c.expect("EHLO x.test", 250)
                self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
        with self.client() as c:
            c.hello()
            c.expect("STARTTLS", 220)
            c.send(b"this is no ClientHello\r\n")
            with contextlib.suppress(ConnectionError):
                while c.sock.recv(1000):
                    pass
        got = self.summary()
        self.assertEqual((got["messages"], got["handshakes"], got["resumed"], got["broken"]), (3, 3, 2, 1))

    def test_tls_at_once_and_none_at_all(self):
        self.sink("--json", "--implicit")
        with self.client(tls=trusting()) as c:
            self.assertNotIn("STARTTLS", c.hello())
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
        self.assertEqual(self.summary()["handshakes"], 1)
        nowhere = self.pki / "nothing"
        self.sink("--no-tls", "--pki", nowhere)
        with self.client() as c:
            self.assertNotIn("STARTTLS", c.hello())
            c.expect("STARTTLS", 502)
        self.assertFalse(nowhere.exists())

    def test_it_is_told_wrong_things(self):
        for words, code, said in ((("nothing.there",), 2, "no such scenario"), (("--implicit", "--no-tls"), 64, "--no-tls is none"),
                                  (("--address", "192.0.2.1", "--no-tls"), 2, "loopback only"), (("--every", "0"), 64, "from 1 to 86400"),
                                  (("--idle", "x"), 64, "from 1 to 86400"), (("a", "b"), 64, "a is there already")):
            done = run(BENCH, "sink", "--pki", self.pki, *words, check=False)
            self.assertEqual(done.returncode, code, words)
            self.assertIn(said, done.err)

    def test_any_scenario(self):
        self.sink("dot.450", "--json")
        with self.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 450)
        got = self.summary()
        self.assertEqual((got["messages"], got["refused"], got["octets"]), (0, 1, 0))

    # -- the same bytes

    DIALOG = ((1, b"EHLO a.test\r\n"), (3, b"NOOP\r\nRSET\r\nVRFY x\r\n"), (3, b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"),
              (1, b"Subject: x\r\n\r\n..\r\nx\r\n.\r\n"),
              (4, b"MAIL FROM:<a@b.test> SIZE=5\r\nRCPT TO:<c@d.test>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\nde"),
              (3, b"AUTH PLAIN\r\nAGEAYg==\r\nRCPT TO:<x>\r\n"), (2, b"HELP\r\nQUIT\r\n"))

    def talk(self):
        said = []
        with self.client() as c:
            said.append(c.reply())
            for replies, part in self.DIALOG:
                c.send(part)
                said += [c.reply() for _ in range(replies)]
            self.assertTrue(c.ended())
        return said

    def test_the_bytes_are_the_same_when_they_are_written_down(self):
        heard = []
        with tempfile.TemporaryDirectory() as d:
            for words in ({"command": "sink"}, {"command": "serve"}):
                more = () if words["command"] == "sink" else ("--only", "good", "--out", pathlib.Path(d) / "out")
                self.sink(*more, **words)
                heard.append(self.talk())
                self.stop(self.p)
            self.assertTrue((pathlib.Path(d) / "out" / "all.jsonl").stat().st_size)
        self.assertEqual(heard[0], heard[1])
        self.assertIn("221", heard[0][-1])

    # -- whoever comes

    def test_a_hundred_thousand_messages(self):
        words = ("--sessions", 16, "--messages", 100)
        self.sink("--json", "--no-tls")
        self.load(*words, "--repeat", 2)
        before = self.rss()
        sent = self.load(*words, "--repeat", 7 if IS_ASAN else 63)
        self.assertEqual(sent["failures"], {})
        grown = self.rss() - before
        self.assertLess(grown, ASAN_KEEPS if IS_ASAN else 2 * MIB)
        self.assertEqual(self.summary()["messages"], sent["messages"] + 3200)

    def test_a_thousand_sessions_at_once(self):
        self.sink("--json")
        g = subprocess.Popen([str(w) for w in (LOADGEN, "--connect", f"127.0.0.1:{self.port}", "--json", "--hold", 1000,
                              "--probes", 5, "--wait", "--seconds", 200)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(g.stdout.readline(), "held 1000\n")
            with self.client() as c:
                c.hello()
                self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
            g.stdin.write("\n\n")
            g.stdin.flush()
            self.assertEqual(json.loads(g.stdout.readline())["heldEnded"], 0)
        finally:
            g.kill()
            g.wait()
            g.stdin.close()
            g.stdout.close()
        got = self.summary()
        self.assertEqual((got["messages"], got["sessions"]), (1, 1006))

    def test_a_line_without_an_end(self):
        self.sink("--json", "--no-tls")
        before = self.rss()
        for _ in range(5):
            with self.client() as c:
                c.hello()
                end = time.monotonic() + PATIENCE
                with self.assertRaises(OSError):
                    while time.monotonic() < end:
                        c.send(b"x" * 65536)
        self.assertLess(self.rss() - before, ASAN_KEEPS if IS_ASAN else 2 * MIB)

    def test_who_never_reads(self):
        self.sink("--json", "--idle", 2)
        for tls in (False, True):
            before = self.rss()
            with self.client() as c:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                c.hello()
                if tls:
                    c.starttls()
                most, end = 0, time.monotonic() + PATIENCE
                with self.assertRaises(OSError):  # until it is ended for its silence
                    c.sock.settimeout(0.05)
                    while time.monotonic() < end:
                        with contextlib.suppress(TimeoutError):
                            c.sock.send(b"EHLO x\r\n" * 8192)
                        most = max(most, self.rss() - before)
                self.assertLess(most, ASAN_KEEPS if IS_ASAN else 2 * MIB)

    def test_who_says_nothing(self):
        self.sink("--json", "--idle", 1)
        with self.client() as silent, self.client() as halfway, self.client() as in_tls:
            for c in (silent, halfway, in_tls):
                c.hello()
            halfway.send("MAIL FR")
            in_tls.expect("STARTTLS", 220)
            in_tls.send(b"\x16\x03\x01\x02\x00\x01")  # and no more of the ClientHello
            for c in (silent, halfway, in_tls):
                self.assertTrue(c.ended())
        with self.client() as c:  # half closed: what was said is answered, and then it is over
            c.send("QUIT\r\n")
            c.sock.shutdown(socket.SHUT_WR)
            c.expect(None, 220)
            self.assertEqual(c.reply().code, 221)
            self.assertTrue(c.ended())

    def test_more_sessions_than_descriptors(self):
        self.sink("--json", "--no-tls", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
        first = [self.client() for _ in range(60)]
        try:
            first[0].hello()
            before = self.cpu()
            os.set_blocking(self.p.stderr.fileno(), False)
            said = b""

            def complained():
                """it says that it has no descriptors left"""
                nonlocal said
                said += self.p.stderr.read() or b""
                return b"Too many open files" in said
            wait_until(complained)
            first[0].expect("NOOP", 250)
            self.assertLess(self.cpu() - before, 0.5)  # it does not spin on those that wait
            for c in first[:30]:
                c.close()
            first[59].hello()
        finally:
            for c in first:
                c.close()
            os.set_blocking(self.p.stderr.fileno(), True)
            self.p.terminate()
            self.p.stderr.read()


if __name__ == "__main__":
    main()
