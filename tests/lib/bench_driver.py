"""What drivers of senders that queue have in common: a directory of their own, an end that leaves nothing behind, and a queue that
is flushed a few times, so that the end of the driver is the end of its tries."""
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

HOST, PORT, NAME, CA, POLICY = (os.environ[f"BENCH_{n}"] for n in ("HOST", "PORT", "NAME", "CA", "POLICY"))
CA = os.path.abspath(CA)
IMPLICIT = os.environ["BENCH_IMPLICIT"] == "yes"
RCPTS, MESSAGES = os.environ["BENCH_RCPTS"].split(), os.environ["BENCH_MESSAGES"].split()
SENDER = "sender@example.org"
PATIENCE = 6  # seconds that a sender waits for an answer: RFC 5321 4.5.3.2 wants minutes, a test does not
TRIES = 3  # the first one, and two runs of the queue
GAP = 2  # seconds between them; a flush is not the sender's own haste
SECONDS = 40  # after which nothing is tried any more


def lacking(reason):
    """The word of a shell for a program that is not there: the bench does not take it for the sender's."""
    print(reason, file=sys.stderr)
    sys.exit(127)


class Directory:
    """A short path, readable by the accounts that a sender drops its rights to; gone at the end, however it comes."""

    def __enter__(self):
        for s in (signal.SIGTERM, signal.SIGINT):
            signal.signal(s, lambda *_: sys.exit(1))
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def poll(done, seconds):
    """True as soon as done() is."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def empty_the_queue(is_empty, is_idle, flush):
    """Whether nothing is left. is_idle: nothing is being tried now; what is left waits."""
    end = time.monotonic() + SECONDS
    for i in range(TRIES):
        if i:
            time.sleep(GAP)
            flush()
        poll(lambda: is_empty() or is_idle(), end - time.monotonic())
        if is_empty():
            return True
    return False


def finish(empty, log, telling, failed):
    """Exit 0: all was delivered; 69: some of it came back; 75: some of it is left. The sender's own log is printed, and once more, as
    the last line, what it told last of the mail."""
    print(log)
    print("\n".join([l for l in log.splitlines() if re.search(telling, l)][-1:]))
    sys.exit(75 if not empty else 69 if re.search(failed, log) else 0)
