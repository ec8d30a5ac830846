#!/usr/bin/env python3
"""What the disk can do to us: full, over quota, read-only, vanished. Known before the answer, nothing half-written."""
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

ONE = {"mx": {"tls": "off"}}


def can_mount():
    if not IS_ROOT:
        return False
    where = tempfile.mkdtemp()
    ok = run("mount", "-t", "tmpfs", "-o", "size=1m", "none", where, check=False).returncode == 0
    if ok:
        run("umount", where)
    os.rmdir(where)
    return ok


@unittest.skipUnless(can_mount(), "needs root and mount(2)")
class Disk(DaemonTest):
    def on_small_disk(self, kind, options="loop", start=True):
        d = self.prepared(listeners=ONE)
        if kind == "ext4":
            image = d.dir / "disk"
            with open(image, "wb") as f:
                f.truncate(8 << 20)
            run("mkfs.ext4", "-q", "-m", "0", image)
            run("mount", "-o", options, image, d.mail)
        else:
            run("mount", "-t", "tmpfs", "-o", "size=3m", "none", d.mail)
        self.addCleanup(lambda: run("umount", "-l", d.mail, check=False))
        os.chmod(d.mail, 0o777)
        return d.start() if start else d

    def fill(self, kind):
        d = self.on_small_disk(kind)
        body = b"Subject: fill\n\n" + b"x" * 70 * 1000 + b"\n"
        with d.client() as c:
            c.hello()
            accepted = 0
            for _ in range(400):
                reply = c.deliver(body)
                if reply.code != 250:
                    break
                accepted += 1
            self.assertEqual(reply.code, 452, reply)
            self.assertIn("4.3.1", reply)
            # the session goes on, and once there is room so does the mail
            self.assertEqual(d.bodies(), [body] * accepted)
            for p in d.messages()[:5]:
                p.unlink()

            def taken():
                return c.deliver(b"Subject: small\n\n").code == 250
            wait_until(taken)
        self.assertTrue(d.events("delivery.failed"))

    def test_full_ext4(self):
        self.fill("ext4")

    def test_full_tmpfs(self):
        self.fill("tmpfs")

    def test_quota(self):
        """The mail account's quota is used up: 452 4.2.2, nothing half-written, and mail again once there is room."""
        d = self.prepared(listeners=ONE)
        mounted = run("mount", "-t", "tmpfs", "-o", "size=30m,usrquota,usrquota_block_hardlimit=1m", "none", d.mail, check=False)
        if mounted.returncode:
            self.skipTest("this kernel has no quotas on tmpfs (CONFIG_TMPFS_QUOTA)")
        self.addCleanup(lambda: run("umount", "-l", d.mail, check=False))
        os.chmod(d.mail, 0o777)
        d.start()
        body = b"Subject: fill\n\n" + b"x" * 70 * 1000 + b"\n"
        with d.client() as c:
            c.hello()
            accepted = 0
            while (reply := c.deliver(body)).code == 250 and accepted < 100:
                accepted += 1
            self.assertEqual(reply.code, 452, reply)
            self.assertIn("4.2.2", reply)
            self.assertEqual(d.bodies(), [body] * accepted)
            for p in d.messages()[:5]:
                p.unlink()
            wait_until(lambda: c.deliver(b"Subject: small\n\n").code == 250)
        d.wait_event("delivery.failed", "EDQUOT")

    def test_read_only_at_the_start(self):
        d = self.on_small_disk("ext4", "loop", start=False)
        run("mount", "-o", "remount,ro", d.mail)
        d.start()
        with d.client() as c:
            c.hello()
            self.assertIn("451", c.deliver(b"Subject: x\n\n"))
            run("mount", "-o", "remount,rw", d.mail)
            wait_until(lambda: c.deliver(b"Subject: x\n\nagain\n").code == 250)
        d.wait_event("delivery.failed", "ead-only")

    def test_read_only_after_an_error(self):
        """What ext4 does with errors=remount-ro when the disk fails, while everything is open."""
        d = self.on_small_disk("ext4", "loop,errors=remount-ro")
        device = run("findmnt", "-n", "-o", "SOURCE", d.mail).out.strip()
        trigger = pathlib.Path("/sys/fs/ext4") / pathlib.Path(device).name / "trigger_fs_error"
        if not trigger.exists():
            self.skipTest(f"no {trigger}")
        with d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: before\n\n").code, 250)
            trigger.write_text("x")
            for _ in range(3):
                self.assertIn("451", c.deliver(b"Subject: after\n\n"))
        self.assertEqual(d.bodies(), [b"Subject: before\n\n"])
        d.wait_event("delivery.failed")


class Mailbox(DaemonTest):
    def test_vanished_mailbox_is_made_again(self):
        d = self.daemon(listeners=ONE)
        with d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: 1\n\n").code, 250)
            shutil.rmtree(d.mail / "example.test")
            self.assertEqual(c.deliver(b"Subject: 2\n\n").code, 250)
        self.assertEqual(d.bodies(), [b"Subject: 2\n\n"])

    def test_mailbox_that_is_a_file(self):
        d = self.daemon(listeners=ONE)
        (d.mail / "example.test").mkdir()
        (d.mail / "example.test" / "alice").write_text("in the way")
        if IS_ROOT:
            os.chown(d.mail / "example.test", pwd.getpwnam(user_for_tests()).pw_uid, -1)
        with d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: 1\n\n").code, 451)
            self.assertEqual(c.deliver(b"Subject: 2\n\n", to=["bob@example.test"]).code, 250)
        line = d.wait_event("delivery.failed")[0]
        self.assertIn("alice", line)

    def test_one_bad_recipient_fails_all_or_none(self):
        d = self.daemon(listeners=ONE)
        with d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: 0\n\n", to=["bob@example.test"]).code, 250)
            shutil.rmtree(d.mail / "example.test" / "alice", ignore_errors=True)
            (d.mail / "example.test" / "alice").write_text("in the way")
            reply = c.deliver(b"Subject: 1\n\n", to=["bob@example.test", "alice@example.test"])
            self.assertEqual(reply.code, 451)
        self.assertEqual(len(d.messages("bob")), 1)


if __name__ == "__main__":
    main()
