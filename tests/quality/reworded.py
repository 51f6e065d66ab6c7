"""Whether an answer is found that is asked for in other words: `python -m tests.quality.reworded [--show] [--engine elasticsearch]`.

`reworded.jsonl` has each English question of `answers.jsonl` once more in other words, written without opening the files. All files are there
together. Each question that a file answers is asked a second time without its own files: then only neighbours of the answer are left, and
"I don't know" is right. It is a measure; no rule is held here. docs/decisions/0014-cross-encoder.md has the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.quality import questions, service
from tests.quality.__main__ import OUTCOMES, settings_for
from tests.quality.questions import DOCUMENTS, Question

REWORDED = Path(__file__).with_suffix(".jsonl")


def load() -> list[Question]:
    """The questions of `answers.jsonl` with their other words."""
    known = {one.id: one for one in questions.load()}
    rows = map(json.loads, REWORDED.read_text(encoding="utf-8").splitlines())
    return [replace(known[row["id"]], question=row["question"]) for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.quality.reworded", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=("sqlite", "elasticsearch"), default="sqlite")
    parser.add_argument("--show", action="store_true", help="print what is wrong or missed")
    options = parser.parse_args()
    counts, files = Counter[tuple[str, str]](), sorted(path.name for path in DOCUMENTS.iterdir())
    with settings_for(options.engine) as settings, service.running(settings) as running:
        ids = {name: running.put(DOCUMENTS / name, "reworded") for name in files}
        if failed := running.settle():
            print(f"These files could not be read: {failed}", file=sys.stderr)
        for asked in load():
            without = [name for name in files if name not in {Path(one).name for one in asked.files}]
            ways = [("reworded", asked, files)]
            if asked.expect != "unanswerable":
                ways.append(("without its files", replace(asked, expect="unanswerable"), without))
            for way, wanted, among in ways:
                answer = running.ask(wanted.question, filters={"document_ids": [ids[name] for name in among]})
                outcome = questions.judge(wanted, answer["answer"], grounded=answer["grounded"])
                counts[way, outcome] += 1
                if options.show and outcome in ("wrong", "missed"):
                    print(
                        f"{outcome} ({way}) {wanted.id}: {wanted.question}\n    wanted: {wanted.wanted}\n    said: {answer['answer']}"
                    )
    print("| | " + " | ".join(OUTCOMES) + " |\n| --- |" + " ---: |" * len(OUTCOMES))
    for way in ("reworded", "without its files"):
        print(f"| {way} | " + " | ".join(str(counts[way, outcome]) for outcome in OUTCOMES) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
