"""Whether answers can be trusted: asks the questions of `answers.jsonl` about the small files in `documents/`, as `make quality` does.

    python -m tests.quality [--engine sqlite|elasticsearch] [--split dev|held-out] [--together|--alone] [--only TEXT] [--json]

Each question is asked twice: with all files in one collection (together), where neighbours tempt, and with its own file alone in a
collection, where the nearest passage is always the nearest. Without a language model, so that the figures are the same on every machine.
Ends with 1 when a rule is broken: no wrong answer that says grounded; 90 % of what the documents say answered rightly;
"I don't know" to 95 % of the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from app.settings import Settings
from tests.quality import questions, service
from tests.quality.questions import DOCUMENTS, Outcome, Question
from tests.services import elasticsearch_process

MIN_RIGHT = 0.90  # of the questions that a document answers
MIN_DONT_KNOW = 0.95  # of the others
MODELS = Path(__file__).parents[2] / ".teal" / "models"
OUTCOMES: tuple[Outcome, ...] = ("right", "wrong", "don't know", "missed")

Mode = Literal["together", "alone"]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, how it was asked, and what came of it."""

    asked: Question
    mode: Mode
    outcome: Outcome
    answer: str
    titles: tuple[str, ...]  # of the cited documents


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    asked = [
        one for one in questions.load() if options.split in (None, one.split) and (not options.only or options.only in one.id)
    ]
    if not asked:
        print("No question is left: see the ids in tests/quality/answers.jsonl.", file=sys.stderr)
        return 2
    began = time.monotonic()
    with settings_for(options.engine) as settings, service.running(settings) as running:
        answered = [one for mode in options.modes for one in _ask_all(running, asked, mode)]
    spent = _cpu_seconds()
    if options.json:
        for one in answered:
            row = {"mode": one.mode, "outcome": one.outcome, "answer": one.answer, "cited": one.titles, **asdict(one.asked)}
            print(json.dumps(row, ensure_ascii=False))
    else:
        print(report(answered))
    broken = broken_rules(answered)
    said = f"{options.engine}: {len(asked)} questions, {spent:.0f} s of CPU, {time.monotonic() - began:.0f} s"
    print(f"{said}. {'; '.join(broken) if broken else 'Every rule is kept'}.", file=sys.stderr)
    return 1 if broken else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=("sqlite", "elasticsearch"), default="sqlite")
    parser.add_argument("--split", choices=("dev", "held-out"), help="only these questions; the files are all there")
    parser.add_argument("--only", default="", metavar="TEXT", help="only questions whose id holds this")
    parser.add_argument("--json", action="store_true", help="a JSON line for each answer instead of the table")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--together", dest="modes", action="store_const", const=("together",), default=("together", "alone"))
    modes.add_argument("--alone", dest="modes", action="store_const", const=("alone",))
    return parser.parse_args(arguments)


def embedded() -> AbstractContextManager[Settings]:
    """A service of its own on SQLite."""
    return settings_for("sqlite")


@contextmanager
def settings_for(engine: str) -> Iterator[Settings]:
    """A service of its own in a folder that is thrown away: no cache, no key, the project's own model."""
    with tempfile.TemporaryDirectory() as folder:
        values: dict[str, Any] = {
            "state_dir": Path(folder) / "state",
            "model_dir": MODELS,
            "auth": False,
            "cache_seconds": 0,
            "rate_limit_per_second": 100_000,
        }
        if engine == "sqlite":
            yield Settings(search="embedded", **values)
            return
        with _elasticsearch(Path(folder)) as url:
            name = f"q{uuid4().hex[:12]}"
            yield Settings(search="elasticsearch", elasticsearch_url=url, index=name, search_timeout_seconds=10.0, **values)


@contextmanager
def _elasticsearch(folder: Path) -> Iterator[str]:
    """The one at ELASTICSEARCH_URL, or one that lives as long as this."""
    given = os.environ.get("ELASTICSEARCH_URL")
    if given:
        yield given
        return
    archive = elasticsearch_process.archive()
    if not archive.exists() or shutil.which("java") is None:
        raise SystemExit("There is no Elasticsearch here: run `make fetch` and install Java 17, or set ELASTICSEARCH_URL.")
    with elasticsearch_process.start(archive, folder) as url:
        yield url


def _ask_all(running: service.Running, asked: Sequence[Question], mode: Mode) -> Iterator[Answered]:
    """Load the files as the mode wants them, then ask."""
    if mode == "together":
        wanted = {"together": tuple(sorted(path.name for path in DOCUMENTS.iterdir()))}
    else:
        wanted = {_alone(one): one.files for one in asked}
    for collection, names in wanted.items():
        for name in sorted(names):  # the older version of two first
            running.put(DOCUMENTS / name, collection)
    failed = running.settle()
    if failed:
        print(f"These files could not be read: {failed}", file=sys.stderr)
    for one in asked:
        answer = running.ask(one.question, ["together" if mode == "together" else _alone(one)])
        outcome = questions.judge(one, answer["answer"], grounded=answer["grounded"])
        titles = tuple(dict.fromkeys(cited["title"] for cited in answer["citations"]))
        yield Answered(one, mode, outcome, answer["answer"], titles)


def _alone(one: Question) -> str:
    """The collection that holds the question's file alone, or the two versions of it."""
    return f"alone-{len(one.files)}-{Path(one.files[0]).name.replace('.', '-')}"


def broken_rules(answered: Sequence[Answered]) -> list[str]:
    """What is not good enough, in words."""
    broken = []
    for mode in dict.fromkeys(one.mode for one in answered):
        here = [one for one in answered if one.mode == mode]
        wrong = sum(one.outcome == "wrong" for one in here)
        if wrong:
            broken.append(f"{mode}: {wrong} wrong answers say grounded (0 allowed)")
        answerable = [one for one in here if one.asked.expect != "unanswerable"]
        others = [one for one in here if one.asked.expect == "unanswerable"]
        for what, part, outcome, least in (
            ("answered rightly", answerable, "right", MIN_RIGHT),
            ('"I don\'t know" of the unanswerable', others, "don't know", MIN_DONT_KNOW),
        ):
            share = sum(one.outcome == outcome for one in part) / len(part) if part else 1.0
            if share < least:
                broken.append(f"{mode}: {what} {share:.1%} (at least {least:.0%})")
    return broken


def report(answered: Sequence[Answered]) -> str:
    """The wrong and the missed, one by one, and the table."""
    lines = []
    for one in answered:
        if one.outcome in ("wrong", "missed"):
            lines.append(f"{one.outcome} ({one.mode}) {one.asked.id}: {one.asked.question}")
            lines.append(f"    wanted: {one.asked.wanted}")
            lines.extend([f"    said: {one.answer}", f"    from: {', '.join(one.titles)}"] if one.outcome == "wrong" else [])
    modes = list(dict.fromkeys(one.mode for one in answered))
    head = "| | asked | " + " | ".join(f"{mode}: {outcome}" for mode in modes for outcome in OUTCOMES) + " |"
    lines += ["", head, "| --- |" + " ---: |" * (1 + len(modes) * len(OUTCOMES))]
    groups: list[Callable[[Question], str]] = [
        lambda one: one.language,
        lambda one: one.format,
        lambda one: one.expect,
        lambda _: "all",
    ]
    for group in groups:
        for name in sorted({group(one.asked) for one in answered}):
            lines.append(_row(name, [one for one in answered if group(one.asked) == name], modes))
    return "\n".join(lines)


def _row(name: str, answered: Sequence[Answered], modes: Sequence[Mode]) -> str:
    counts = Counter((one.mode, one.outcome) for one in answered)
    asked = len({one.asked.id for one in answered})
    return f"| {name} | {asked} | " + " | ".join(str(counts[mode, outcome]) for mode in modes for outcome in OUTCOMES) + " |"


def _cpu_seconds() -> float:
    """User and system time of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    sys.exit(main())
