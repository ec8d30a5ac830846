#!/usr/bin/env python3
"""Transcripts of postern-bench: every line is of the schema, no secret is in any file, and files keep their bounds."""
import base64
import pathlib
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


if __name__ == "__main__":
    main()
