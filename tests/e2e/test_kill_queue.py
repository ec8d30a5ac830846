#!/usr/bin/env python3
"""kill -9 of every process in turn while mail comes in and goes out: what got 250 reaches the next hop, exactly as sent,
and twice only where SMTP cannot know (RFC 5321 4.1.1.4, RFC 1047): the process that sent it, or wrote down that it was
sent, died in that moment."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from hop import Hop, hop_daemon  # noqa: E402
from load import Load, body_of  # noqa: E402

TO, FROM = "out@remote.test", "alice@example.test"


class KillQueue(DaemonTest):
    def setUp(self):
        self.hop = Hop().up()
        self.d = hop_daemon(self.hop)

    def tearDown(self):
        self.hop.down()
        self.d.stop()
        reports = self.d.reports()
        self.d.remove()
        self.assertFalse(reports)

    def queue(self):
        return [p for p in (self.d.state / "queue").iterdir() if not p.name.startswith(".")]

    def load(self):
        return Load(self.d, listener="inside", to=TO, sender=FROM)

    def arrived(self):
        """How often each message reached the next hop."""
        found = {}
        for sender, rcpts, body, _ in self.hop.messages():
            self.assertEqual((sender, rcpts), (FROM, [TO]))
            sent = body[body.index(b"Subject: "):].replace(b"\r\n", b"\n")
            n = int(sent.split(b"\n", 1)[0].split(b": ")[1])
            self.assertTrue(body_of(n).split(b"\n\n", 1)[1] == sent.split(b"\n\n", 1)[1], "not as it was sent")
            found[n] = found.get(n, 0) + 1
        return found

    def check(self, load, twice):
        wait_until(lambda: load.acked <= set(self.arrived()), 60)
        wait_until(lambda: not self.queue(), 60)
        again = [n for n, times in self.arrived().items() if times > 1]
        self.assertLessEqual(len(again), twice, again)
        self.assertGreater(len(load.acked), 0)
        self.assertEqual(self.d.messages(), [], "a report: something was given up")

    def replaced(self, role, pid):
        def there():
            try:
                now = self.d.pids(role)
                return now and pid not in now
            except (AssertionError, ValueError, KeyError):
                return False
        wait_until(there)

    def kill_role(self, role, twice, rounds=4):
        load = self.load()
        try:
            for _ in range(rounds):
                load.more()
                pid = wait_until(lambda: self.d.pids(role))[0]
                self.d.kill(pid)
                self.replaced(role, pid)
                load.more()
        finally:
            load.end()
        self.check(load, twice * rounds)

    def test_worker(self):
        self.kill_role("worker", 0)

    def test_relay(self):
        self.kill_role("relay", 20)  # what one destination may have on its way at once

    def test_store(self):
        self.kill_role("store", 20)

    def test_leader(self):
        self.kill_role("leader", 20)

    def test_supervisor(self):
        load = self.load()
        try:
            for _ in range(3):
                load.more()
                family = [p["pid"] for p in self.d.status()["processes"]]
                self.d.proc.kill()
                self.d.proc.wait()
                wait_until(lambda: all(has_ended(p) for p in family if p != self.d.proc.pid), 10)
                self.d.log.close()
                self.d.start()
                load.more()
        finally:
            load.end()
        self.check(load, 60)

    def test_reloads_send_nothing_twice(self):
        load = self.load()
        try:
            for _ in range(6):
                load.more()
                self.d.conf.write_text(self.d.conf.read_text() + "\n")
                self.d.reload()
        finally:
            load.end()
        self.check(load, 0)

    def test_a_next_hop_that_comes_and_goes(self):
        load = self.load()
        try:
            for _ in range(4):
                load.more()
                self.hop.down()
                load.more()
                self.hop.up()
        finally:
            load.end()
        self.check(load, 20)  # cut connections: a 250 may have been on its way

    def test_everything_at_once(self):
        load = self.load()
        try:
            for _ in range(3):
                load.more()
                for role in ("relay", "worker", "store"):
                    for pid in self.d.pids(role)[:1]:
                        self.d.kill(pid)
                load.more()
        finally:
            load.end()
        self.check(load, 60)


if __name__ == "__main__":
    main()
