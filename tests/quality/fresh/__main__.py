"""How the service does on questions by people who did not know its code: `python -m tests.quality.fresh [SET ...] [--show]`.

Two pairs of sets, written on 2026-11-29 without a look at this repository. `tuned` and `unseen` have 45 plain questions about 23 small files each,
`second` and `second-unseen`, by somebody else, 60 about 20, who took care to ask in other words than the file's. `third` has 211 about 66 files of many
makers and encodings, asked much in the file's words. `tuned`, `second` and `third` were read while readers and answers were mended. The others were not, by anybody who changed the code: **do not read their questions or files to mend something**, or there is no
honest figure left; `--show` refuses them. Everything is in one collection, without a language model. No rule is held here: it is a measure.
"""

from __future__ import annotations

import argparse
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tests.quality import service
from tests.quality.__main__ import embedded

HERE = Path(__file__).parent
READ = ("tuned", "second", "third")
SETS = ("tuned", "unseen", "second", "second-unseen", "third")
OUTCOMES = ("right", "near", "missed", "wrong", "don't know")


class Asked(BaseModel):
    """A line of questions.jsonl: a right answer holds all of `must`, one of each of `any`, none of `never`."""

    model_config = ConfigDict(extra="forbid")
    id: str
    files: list[str]
    question: str
    language: str
    kind: Literal["answerable", "absent", "conflict"]
    must: list[str] = []
    any: list[list[str]] = []
    never: list[str] = []
    why: str

    def held_by(self, text: str) -> bool:
        """Whether the text holds what a right answer does."""
        said = _plain(text)
        return all(_plain(one) in said for one in self.must) and all(
            any(_plain(one) in said for one in each) for each in self.any
        )


def outcome(asked: Asked, answer: dict[str, Any]) -> str:
    """`near`: "I don't know", and one of the nearest passages says it. `wrong`: the answer says grounded and is not what the files say."""
    if not answer["grounded"]:
        if asked.kind == "absent":
            return "don't know"
        return "near" if asked.held_by(" ".join(one["passage"] for one in answer["nearest"])) else "missed"
    said = _plain(answer["answer"])
    right = asked.kind != "absent" and asked.held_by(said) and not any(_plain(one) in said for one in asked.never)
    return "right" if right else "wrong"


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("*", "").replace("`", "").split())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.quality.fresh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="|".join(SETS))
    parser.add_argument("--show", action="store_true", help=f"print what is not right, of {' and '.join(READ)}")
    options = parser.parse_args()
    if unknown := set(options.sets) - set(SETS):
        parser.error(f"there is no set {', '.join(sorted(unknown))}; there are {', '.join(SETS)}")
    if options.show and not set(options.sets) <= set(READ):
        parser.error("unseen sets are not shown: python -m tests.quality.fresh tuned second --show")
    print("| set | kind | asked | " + " | ".join(OUTCOMES) + " |\n| --- | --- |" + " ---: |" * (1 + len(OUTCOMES)))
    for name in options.sets:
        counts = _ask(HERE / name, show=options.show)
        for kind in ("answerable", "conflict", "absent"):
            row = [counts[kind, one] for one in OUTCOMES]
            print(f"| {name} | {kind} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    return 0


def _ask(folder: Path, *, show: bool) -> Counter[tuple[str, str]]:
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    counts = Counter[tuple[str, str]]()
    with embedded() as settings, service.running(settings) as running:
        for path in sorted((folder / "files").iterdir()):  # of two versions the older year comes first
            running.put(path, "fresh")
        if failed := running.settle():
            print(f"These files could not be read: {failed}", file=sys.stderr)
        for asked in map(Asked.model_validate_json, lines):
            answer = running.ask(asked.question, ["fresh"])
            found = outcome(asked, answer)
            counts[asked.kind, found] += 1
            if show and found not in ("right", "don't know"):
                print(f"{found} {asked.id}: {asked.question}\n    wanted: {asked.why}\n    said: {answer['answer']}")
    return counts


if __name__ == "__main__":
    sys.exit(main())
