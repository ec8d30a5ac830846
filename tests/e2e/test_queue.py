#!/usr/bin/env python3
"""postern queue: what waits is listed, shown, tried again, held, released and deleted, by a person and by a program."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from hop import Hop, hop_daemon  # noqa: E402

MANY = 20000


class Queue(DaemonTest):
    def setUp(self):
        self.hop = Hop()

    def tearDown(self):
        self.hop.down()
        self.d.stop()
        reports = self.d.reports()
        self.d.remove()
        self.assertFalse(reports)

    def start(self, **kw):
        self.d = hop_daemon(self.hop, **kw)

    def send(self, *to, sender="alice@example.test"):
        with self.d.client("inside") as c:
            c.hello()
            got = c.deliver(b"Subject: waits\n\nbody\n", to=to, sender=sender)
            self.assertEqual(got.code, 250, got)
            return got.text.split()[-1] if hasattr(got, "text") else None

    def queue(self, *words, code=0):
        done = self.d.command("queue", *words)
        self.assertEqual(done.returncode, code, (words, done.out, done.err))
        return done.out

    def rows(self, *words):
        return [json.loads(l) for l in self.queue("list", *words, "--json").splitlines()]

    def waits(self, count=1, **having):
        """Until so many are in the list and each has been tried."""
        return wait_until(lambda: len(rows := self.rows()) == count and all(r["tries"] for r in rows) and rows)

    def test_what_a_person_sees(self):
        self.start()
        self.send("out@remote.test", "more@remote.test")
        (row,) = self.waits()
        text = self.queue()
        self.assertIn(row["id"], text)
        self.assertIn("<alice@example.test> to 2 of 2 at out, ", text)
        self.assertIn("refused", text.splitlines()[1])  # the reason, in one line
        self.assertIn("1 message in the queue", text)
        text = self.queue("show", row["id"])
        self.assertIn("<out@remote.test> by out: waiting", text)
        self.assertIn("refused", text)
        self.assertIn("given up at", text)
        self.assertIn("1 message, ", self.queue("status"))

    def test_required_tls_is_told_in_one_line(self):
        self.hop.up()
        self.start(more="tls = required")
        self.send("out@remote.test")
        (row,) = self.waits()
        self.assertIn("STARTTLS", row["reason"])
        shown = [l for l in self.queue("show", row["id"]).splitlines() if "4.7.6" in l]
        self.assertEqual(len(shown), 1)
        self.assertIn("STARTTLS", shown[0])

    def test_hold_release_retry_delete(self):
        self.start(more="")
        self.send("out@remote.test")
        self.send("carol@away.test", sender="bob@example.test")
        rows = self.waits(2)
        one = next(r for r in rows if r["from"] == "alice@example.test")
        self.assertIn("1 message held", self.queue("hold", one["id"]))
        self.hop.up()
        wait_until(lambda: len(self.rows()) == 1)  # the other goes by itself
        (row,) = self.rows("held")
        self.assertTrue(row["held"])
        self.assertEqual(row["id"], one["id"])
        self.queue("retry", one["id"])
        self.assertEqual(len(self.rows()), 1)  # held is held
        self.assertIn("1 message released", self.queue("release", "all"))
        wait_until(lambda: not self.rows())
        self.assertEqual(len(self.hop.messages()), 2)
        self.hop.down()
        self.send("out@remote.test")
        (row,) = self.waits()
        self.assertIn("1 message deleted", self.queue("delete", row["id"]))
        self.assertEqual(self.rows(), [])
        self.assertEqual(self.d.messages(), [])  # no report
        self.assertIn("no such message", self.d.command("queue", "show", row["id"]).err)

    def test_a_hold_outlives_a_restart(self):
        self.start()
        self.send("out@remote.test")
        (row,) = self.waits()
        self.queue("hold", "all")
        self.d.stop()
        self.d.start()
        self.hop.up()
        (row,) = wait_until(lambda: self.rows("held"))
        self.queue("release", "held")
        wait_until(self.hop.messages)

    def test_which(self):
        self.start()
        self.send("out@remote.test")
        self.send("x@second.test", sender="bob@example.test")
        self.waits(2)
        self.assertEqual(len(self.rows("domain=SECOND.test")), 1)
        self.assertEqual(len(self.rows("from=bob@example.test")), 1)
        self.assertEqual(len(self.rows("from=bob@example.test", "domain=remote.test")), 0)
        self.assertEqual(len(self.rows("older=1h")), 0)
        self.assertIn("which messages", self.d.command("queue", "delete").err)
        self.assertEqual(self.d.command("queue", "delete").returncode, 2)
        self.assertEqual(self.d.command("queue", "list", "older=soon").returncode, 64)
        self.assertIn("the queue knows list", self.d.command("queue", "burn").err)
        self.queue("delete", "domain=second.test")
        self.assertEqual(len(self.rows()), 1)
        got = json.loads(self.queue("delete", "all", "--json"))
        self.assertEqual(got, {"ok": True, "count": 1})

    def test_which_by_options(self):
        self.start()
        self.send("out@remote.test")
        self.send("x@second.test", sender="bob@example.test")
        self.waits(2)
        self.assertEqual(len(self.rows("--domain", "SECOND.test")), 1)
        self.assertEqual(len(self.rows("--from", "bob@example.test")), 1)
        self.assertEqual(len(self.rows("--from", "bob@example.test", "--domain", "remote.test")), 0)
        self.assertEqual(len(self.rows("--from", "")), 0)
        self.assertEqual(len(self.rows("--older-than", "1h")), 0)
        self.assertEqual(len(self.rows("--held")), 0)
        for usage in (["--older-than", "soon"], ["--domain", "a all"], ["--from", "a all"], ["--older-than"]):
            self.assertEqual(self.d.command("queue", "delete", *usage).returncode, 64, usage)
        self.assertEqual(len(self.rows("--all")), 2)
        self.assertIn("1 message held", self.queue("hold", "--domain", "second.test"))
        (row,) = self.rows("--held", "--from", "bob@example.test")
        self.assertIn("1 message released", self.queue("release", row["id"], "--held"))
        self.assertIn("1 message deleted", self.queue("delete", "--domain", "second.test"))
        self.assertEqual(self.d.command("queue", "flush").returncode, 2)
        self.assertIn("1 message due now", self.queue("flush", "--all"))
        self.assertIn("1 message deleted", self.queue("delete", "--all"))

    def test_after_a_reload_the_newest_answers(self):
        """A session keeps the old generation; the queue has moved on."""
        self.start()
        self.send("out@remote.test")
        (row,) = self.waits()
        with self.d.client("inside") as old:
            old.hello()
            self.assertEqual(self.d.command("reload").returncode, 0)
            wait_until(lambda: self.d.command("queue").returncode == 0)  # 2 says: being handed over
            self.assertEqual([r["id"] for r in self.rows()], [row["id"]])
            self.assertIn("<out@remote.test> by out: waiting", self.queue("show", row["id"]))
            self.assertIn("1 message held", self.queue("hold", "--all"))
            self.assertEqual(len(self.rows("--held")), 1)
            old.expect("NOOP", 250)
        self.hop.up()
        self.queue("release", "--all")
        wait_until(self.hop.messages)
        wait_until(lambda: not self.rows())
        self.assertEqual(len(self.hop.messages()), 1)

    def test_a_retry_goes_at_once(self):
        self.d = hop_daemon(self.hop, start=False)
        self.d.extra = self.d.extra.replace("first-retry = 1s longest-retry = 2s", "first-retry = 1h longest-retry = 2h")
        self.d.write()
        self.d.start()
        self.send("out@remote.test")
        self.waits()
        self.hop.up()
        self.queue("flush", "domain=remote.test")
        wait_until(self.hop.messages)
        wait_until(lambda: not self.rows())

    def test_without_a_queue(self):
        self.d = Daemon()
        done = self.d.command("queue")
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no queue", done.err)

    @unittest.skipUnless(IS_ROOT, "needs root and mount(2)")
    def test_a_full_disk_drains(self):
        """Nothing fits any more: 452, and what waits still goes, each once, and makes room."""
        self.d = hop_daemon(self.hop, start=False)
        self.d.state.mkdir(exist_ok=True)
        done = run("mount", "-t", "tmpfs", "-o", "size=2m", "none", self.d.state, check=False)
        if done.returncode:
            self.skipTest("mount(2) is not permitted")
        self.addCleanup(lambda: run("umount", "-l", self.d.state, check=False))
        self.d.start()
        body, sent = b"Subject: fill\n\n" + b"y" * 60000 + b"\n", 0
        with self.d.client("inside") as c:
            c.hello()
            while (got := c.deliver(body, to=[f"n{sent}@remote.test"], sender="alice@example.test")).code == 250:
                sent += 1
                self.assertLess(sent, 100)
            self.assertIn("452 4.3.1", got)
        self.assertGreater(sent, 5)
        self.hop.up()
        wait_until(lambda: len(self.hop.messages()) >= sent)
        wait_until(lambda: not self.rows())
        got = sorted(m[1][0] for m in self.hop.messages())
        self.assertEqual(got, sorted(f"n{i}@remote.test" for i in range(sent)))
        self.send("after@remote.test")
        wait_until(lambda: len(self.hop.messages()) == sent + 1)

    def test_a_damaged_file_is_left_alone(self):
        self.start()
        self.send("out@remote.test")
        self.send("more@remote.test")
        rows = self.waits(2)
        self.d.stop()
        there = self.d.state / "queue"
        bad = there / rows[0]["id"]
        text = bad.read_bytes()
        bad.write_bytes(text.replace(b"\nrcpt: <", b"\nrcpt: ", 1))
        (there / "junk with blanks").write_text("what is this?")
        (there / "0000aaaa").mkdir()
        self.hop.up()
        self.d.start()
        wait_until(lambda: len(self.hop.messages()) == 1)
        self.d.wait_event("queue.damaged", rows[0]["id"])
        self.assertTrue(bad.exists())
        away = self.d.dir / "mended"
        bad.rename(away)
        away.write_bytes(text)
        away.rename(bad)
        wait_until(lambda: len(self.hop.messages()) == 2, 60)

    def test_many_and_a_reader_that_sleeps(self):
        """A long list comes at once, is complete, and whoever does not read it holds up nobody."""
        self.d = hop_daemon(self.hop)
        self.send("out@remote.test")
        (row,) = self.waits()
        self.queue("hold", "all")
        self.d.stop()
        there = self.d.state / "queue"
        text = (there / row["id"]).read_bytes()
        owner = os.stat(there / row["id"])
        for i in range(MANY):
            name = "0000000000%06x" % i
            path = there / name
            path.write_bytes(text.replace(row["id"].encode(), name.encode(), 1))
            os.chown(path, owner.st_uid, owner.st_gid)
            os.chmod(path, owner.st_mode & 0o777)
        self.d.start()
        began = time.monotonic()
        self.assertEqual(len(self.rows()), MANY + 1)
        self.assertLess(time.monotonic() - began, 30)
        sleeper = socket.socket(socket.AF_UNIX)
        sleeper.connect(str(self.d.state / "control.sock"))
        sleeper.sendall(b'{"command":"queue","request":"list all"}\n')
        self.assertTrue(sleeper.recv(100))
        self.hop.up()
        self.send("new@remote.test")
        wait_until(self.hop.messages)
        self.assertEqual(len(self.rows("held")), MANY + 1)
        sleeper.close()
        self.assertIn(f"{MANY + 1} messages deleted", self.queue("delete", "held"))


if __name__ == "__main__":
    main()
