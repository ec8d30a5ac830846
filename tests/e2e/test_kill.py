#!/usr/bin/env python3
"""kill -9 of every process in turn, under load: what got 250 is in the Maildir exactly as sent, nothing else is."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403
from load import Load, body_of  # noqa: E402

ONE = {"mx": {"tls": "starttls"}}


class Kill(DaemonTest):
    def check_mail(self, d, load):
        found = {}
        for body in d.bodies():
            n = int(body.split(b"\n", 1)[0].split(b": ")[1])
            self.assertEqual(body, body_of(n), "visible, but not as sent")
            found[n] = found.get(n, 0) + 1
        missing = load.acked - set(found)
        self.assertEqual(missing, set(), "acknowledged and lost")
        self.assertTrue(all(v == 1 for v in found.values()), "delivered twice")
        self.assertGreater(len(load.acked), 0)

    def kill_role(self, role, rounds=3):
        d = self.daemon(listeners=ONE)
        load = Load(d)
        try:
            for _ in range(rounds):
                load.more()
                pid = wait_until(lambda: d.pids(role))[0]
                d.kill(pid)

                def replaced():
                    try:
                        now = d.pids(role)
                        return now and pid not in now
                    except (AssertionError, ValueError, KeyError):
                        return False
                wait_until(replaced)
                load.more()
        finally:
            load.end()
        self.check_mail(d, load)
        self.assertTrue(d.offers())

    def test_worker(self):
        self.kill_role("worker", 5)

    def test_store(self):
        self.kill_role("store", 5)

    def test_leader(self):
        self.kill_role("leader", 5)

    def test_worker_costs_only_its_own_sessions(self):
        d = self.daemon(listeners=ONE)
        clients = []
        try:
            for _ in range(10):  # whoever is quicker accepts: it may be the same worker forty times
                alive = 0
                for _ in range(40):
                    c = d.client()
                    c.hello()
                    clients.append(c)
                d.kill(d.pids("worker")[0])
                for c in clients:
                    try:
                        c.expect("NOOP", 250)
                        alive += 1
                    except (EOFError, ConnectionError):
                        pass
                if 0 < alive < 40:
                    break
                wait_until(lambda: len(d.pids("worker")) == 2)
                while clients:
                    clients.pop().close()
            self.assertGreater(alive, 0)
            self.assertLess(alive, 40)
        finally:
            for c in clients:
                c.close()
        wait_until(lambda: len(d.pids("worker")) == 2)

    def test_supervisor(self):
        d = self.daemon(listeners=ONE)
        load = Load(d)
        try:
            for _ in range(3):
                load.more()
                family = [p["pid"] for p in d.status()["processes"]]
                d.proc.kill()
                d.proc.wait()
                wait_until(lambda: all(has_ended(p) for p in family if p != d.proc.pid), 5)
                d.log.close()
                d.start()
                load.more()
        finally:
            load.end()
        self.check_mail(d, load)

    def test_a_death_uses_the_snapshot(self):
        """A half-edited file on disk never turns a crash into an outage."""
        d = self.daemon(listeners=ONE)
        pid = d.pids("leader")[0]
        d.conf.write_text("listener {{{ nonsense")
        d.key.write_text("nonsense")
        state = ["--state-dir", str(d.state)]
        d.kill(pid)

        def back():
            done = run(*d.argv("status", "--json", *state), check=False)
            return done.returncode == 0 and pid not in [p["pid"] for p in json.loads(done.out)["processes"]]
        wait_until(back)
        self.assertTrue(d.offers())


if __name__ == "__main__":
    main()
