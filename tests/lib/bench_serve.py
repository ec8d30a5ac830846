"""postern-bench serve for a test: begun in a directory of its own, ended with it, and what its transcripts say."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from postern import DaemonTest, PATIENCE, wait_until
import transcripts

BENCH = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")) / "postern-bench"


class BenchTest(DaemonTest):
    checked = True  # its transcripts, against the schema

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.out, self.pki = self.dir / "out", self.dir / "pki"

    def start(self, *words, env=None):
        self.p = subprocess.Popen([str(w) for w in (BENCH, "serve", *words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.addCleanup(self.stop)

    def stop(self):
        """It ends as it should, without a word."""
        if self.p.stdout.closed:
            return
        if self.p.poll() is None:
            self.p.terminate()
            self.p.wait(PATIENCE)
        errors = self.p.stderr.read()
        self.p.stdout.close()
        self.p.stderr.close()
        self.assertEqual((self.p.returncode, errors), (0, ""))
        if self.checked:
            transcripts.check_dir(self, self.out)

    def lines(self, name, sessions=1):
        """Of all sessions of that scenario, once so many have ended."""
        def ended():
            found = [json.loads(l) for l in (self.out / "all.jsonl").read_text().splitlines()]
            sids = [l["sid"] for l in found if l["ev"] == "session_start" and l["scenario"] == name]
            mine = [l for l in found if l["sid"] in sids]
            return sum(l["ev"] == "session_end" for l in mine) == len(sids) >= sessions and mine
        return wait_until(ended)
