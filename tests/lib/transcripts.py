"""Lines of postern-bench's transcripts against docs/transcript.schema.json."""
import json
import pathlib

import jsonschema

SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs" / "transcript.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
OF_EVENT = {part["if"]["properties"]["ev"]["const"]: set(part["then"]["properties"]) for part in SCHEMA["allOf"]}


def problems(line):
    """What is wrong with a line. Unlike a reader, we know every field: one that the schema does not name is not documented."""
    found = [e.message for e in VALIDATOR.iter_errors(line)]
    known = OF_EVENT.get(line.get("ev"), set()) | set(SCHEMA["properties"])
    return found + [f"{line.get('ev')}: no word about {k}" for k in line if k not in known]


def check_dir(case, directory):
    """Every line below it, and how many there are of each event."""
    events = {}
    for path in sorted(pathlib.Path(directory).glob("*.jsonl")):
        for number, text in enumerate(path.read_text().splitlines(), 1):
            line = json.loads(text)
            case.assertEqual(problems(line), [], f"{path}:{number}: {text}")
            if path.name.startswith("all."):
                events[line["ev"]] = events.get(line["ev"], 0) + 1
    return events
