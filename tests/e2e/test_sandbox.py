#!/usr/bin/env python3
"""What each process still may: users, capabilities, empty root, seccomp, descriptors; and who may read what we write."""
import grp
import pathlib
import stat
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from postern import *  # noqa: E402,F403

ONE = {"mx": {"tls": "starttls"}}


def proc_status(pid):
    return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def open_files(pid):
    """What the descriptors of a process are, as the kernel names them."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return names


class Said(DaemonTest):
    def test_one_line_for_each_role(self):
        d = self.daemon(listeners=ONE)
        for role in ("worker", "store"):
            line = wait_until(lambda: [e for e in d.events("sandbox.ready") if role in e])[0]
            self.assertIn("selfTest=passed", line)
            for key in ("user=", "chroot=", "landlock=", "seccomp="):
                self.assertIn(key, line)

    def test_every_thread_is_confined(self):
        d = self.daemon(listeners=ONE)
        for role in ("worker", "store"):
            for pid in d.pids(role):
                for task in os.listdir(f"/proc/{pid}/task"):
                    s = proc_status(f"{pid}/task/{task}")
                    self.assertEqual((s["Seccomp"], s["NoNewPrivs"]), ("2", "1"), (role, pid, task))

    @looks_inside
    def test_workers_hold_no_file(self):
        """Sockets, pipes and message files without a name: nothing that could be read."""
        d = self.daemon(listeners=ONE)
        with d.client() as c:
            c.hello()
            c.starttls()
            c.expect("EHLO x.example.net", 250)
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
            for pid in d.pids("worker"):
                for name in open_files(pid):
                    if name.startswith("/") and name != "/dev/null":
                        self.assertRegex(name, r"\(deleted\)|/tmp/|ports|/log$", name)
                        self.assertNotIn("key", name)


@unittest.skipUnless(IS_ROOT, "only root can drop rights")
class Rights(DaemonTest):
    def test_users_and_capabilities(self):
        d = self.daemon(listeners=ONE, options={"user": '"daemon"', "worker-user": '"nobody"'}, chown="daemon")
        want = {"worker": "nobody", "store": "daemon"}
        for role, user in want.items():
            entry = pwd.getpwnam(user)
            for pid in d.pids(role):
                s = proc_status(pid)
                self.assertEqual(set(s["Uid"].split()), {str(entry.pw_uid)}, role)
                self.assertEqual(set(s["Gid"].split()), {str(entry.pw_gid)}, role)
                self.assertEqual(s["Groups"].split(), [], role)
                for cap in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
                    self.assertEqual(int(s[cap], 16), 0, (role, cap))
        for pid in d.pids("worker"):
            root = os.readlink(f"/proc/{pid}/root")
            self.assertNotEqual(root, "/")
            self.assertEqual(os.listdir(f"/proc/{pid}/root"), [])
        with d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
        self.assertEqual(d.messages()[0].stat().st_uid, pwd.getpwnam("daemon").pw_uid)
        self.assertEqual(d.events("rights.shared-user"), [])

    def test_shared_user_is_warned_about(self):
        d = self.daemon(listeners=ONE)
        d.wait_event("rights.shared-user")

    def test_unknown_user(self):
        d = self.prepared(listeners=ONE, options={"user": '"no-such-user"'})
        d.start(wait=False)
        self.assertNotEqual(d.proc.wait(PATIENCE), 0)
        self.assertIn("no-such-user", d.log_text())
        self.assertIn("adduser", d.log_text(), "the remedy")

    def test_root_is_refused(self):
        d = self.prepared(listeners=ONE, options={"user": '"root"'})
        d.start(wait=False)
        self.assertNotEqual(d.proc.wait(PATIENCE), 0)

    def test_owner_group_and_modes(self):
        d = self.prepared(listeners=ONE, options={"user": '"daemon"'}, chown="daemon")
        d.delivery = 'owner = "nobody" group = "mail" file-mode = "0640" directory-mode = "2750"'
        os.chmod(d.mail, 0o777)
        d.write()
        d.start()
        with d.client() as c:
            c.hello()
            self.assertEqual(c.deliver(b"Subject: x\n\n").code, 250)
        path = d.messages()[0]
        uid, gid = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("mail").gr_gid
        for p, mode in ((path, 0o640), (path.parent, 0o2750), (path.parent.parent, 0o2750)):
            st = p.stat()
            self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (uid, gid, mode), p)


class Secrets(DaemonTest):
    def test_state_and_control_socket(self):
        d = self.daemon(listeners=ONE)
        sock = d.state / "control.sock"
        self.assertTrue(stat.S_ISSOCK(sock.stat().st_mode))
        self.assertEqual(stat.S_IMODE(sock.stat().st_mode) & 0o007, 0, "nobody else may ask")
        self.assertEqual(stat.S_IMODE(d.state.stat().st_mode) & 0o022, 0)

    def test_state_dir_longer_than_sun_path(self):
        d = self.prepared(listeners=ONE)
        d.state = d.dir / ("long" * 30) / "state"
        d.state.parent.mkdir()
        if d.run_as or IS_ROOT:
            os.chmod(d.state.parent, 0o755)
        d.write()
        d.start()
        self.assertGreater(len(str(d.state)), 108)
        self.assertTrue(d.why("mx")["offered"])

    def test_leader_and_workers_are_not_dumpable(self):
        """Keys are in their memory. /proc/PID of a process that is not dumpable is root's, whoever runs it (proc(5))."""
        d = self.daemon(listeners=ONE, run_as=user_for_tests() if IS_ROOT else None)
        for role in ("leader", "worker"):
            for pid in d.pids(role):
                self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0, role)
        for pid in d.pids("worker"):
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 +0 ")

    @unittest.skipUnless(IS_ROOT, "needs another user")
    def test_others_may_not_ask(self):
        d = self.daemon(listeners=ONE, options={"user": '"daemon"'}, chown="daemon")
        nobody = pwd.getpwnam("nobody")
        done = subprocess.run(d.argv("status", "--state-dir", d.state), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], env=d.environment())
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"ermission denied", done.stderr)

    @unittest.skipUnless(IS_ROOT, "needs another user")
    def test_check_with_fewer_rights_says_so(self):
        d = self.daemon(listeners=ONE, options={"user": '"daemon"'}, chown="daemon")
        nobody = pwd.getpwnam("nobody")
        os.chmod(d.conf, 0o644)
        done = subprocess.run(d.argv("check", "-c", d.conf), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], env=d.environment())
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(b"rights", done.stdout)


if __name__ == "__main__":
    main()
