"""Load for tests that kill: clients that go on, and know what was acknowledged."""
import threading

from postern import PATIENCE, wait_until


def body_of(number):
    return b"Subject: %d\n\n" % number + b"%08d line of the message\n" % number * (1 + number % 200)


class Load:
    """Clients that go on whatever happens, and remember what was acknowledged."""

    def __init__(self, d, clients=4, listener="mx", to="alice@example.test", sender="sender@example.net"):
        self.d, self.stop = d, threading.Event()
        self.listener, self.to, self.sender = listener, to, sender
        self.lock, self.sent, self.acked = threading.Lock(), 0, set()
        self.threads = [threading.Thread(target=self.work) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def next(self):
        with self.lock:
            self.sent += 1
            return self.sent

    def work(self):
        while not self.stop.is_set():
            try:
                with self.d.client(self.listener, timeout=10) as c:
                    c.hello()
                    while not self.stop.is_set():
                        n = self.next()
                        if c.deliver(body_of(n), to=[self.to], sender=self.sender).code == 250:
                            with self.lock:
                                self.acked.add(n)
            except (OSError, EOFError, AssertionError, ValueError):
                self.stop.wait(0.01)

    def more(self, count=30):
        """Waits until so many more were acknowledged."""
        with self.lock:
            goal = len(self.acked) + count
        wait_until(lambda: len(self.acked) >= goal)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(PATIENCE)
            assert not t.is_alive()
