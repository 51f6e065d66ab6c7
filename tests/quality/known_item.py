"""Known-item queries from any folder of text files: each asks for one passage by a few of its own words.

They show that the service finds what it holds. They are not relevance judgements: a known-item query has exactly one right
answer, and other passages may serve a reader as well.

    python -m tests.quality.known_item --corpus FOLDER [--count 200] [--seed 20261122] > queries.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SEED = 20_261_122
SUFFIXES = (".txt", ".md", ".rst")
PARAGRAPH_CHARACTERS = (200, 1_500)  # shorter ones say too little to be recognised, longer ones are tables and listings
WORDS_IN_QUERY = (4, 7)  # what people type
COMMONEST_SHARE = 0.02  # a word in more than this share of the paragraphs tells little
RAREST_PARAGRAPHS = 3  # a word in fewer would make the query a lookup by one rare name


@dataclass(frozen=True, slots=True)
class KnownItem:
    """`path` is relative to the corpus; `passage` is the paragraph that the query was made from."""

    query: str
    path: str
    passage: str


def paragraphs(folder: Path) -> Iterator[tuple[str, str]]:
    """(relative path, paragraph) of every text file, in a fixed order; prose only."""
    for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file()):
        for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8", errors="replace")):
            text = " ".join(block.split())
            letters = sum(character.isalpha() or character.isspace() for character in text)
            if PARAGRAPH_CHARACTERS[0] <= len(text) <= PARAGRAPH_CHARACTERS[1] and letters >= 0.85 * len(text):
                yield str(path.relative_to(folder)), text


def make(items: Sequence[tuple[str, str]], count: int, seed: int = SEED) -> list[KnownItem]:
    """`count` queries (fewer when the corpus is small): words of one paragraph, in its order, neither common nor unique."""
    spread = Counter(word for _, text in items for word in set(_words(text)))
    once = Counter(text for _, text in items)
    chosen, found = random.Random(seed), list[KnownItem]()
    for path, text in chosen.sample(items, len(items)):
        if len(found) == count:
            break
        telling = [
            word
            for word in dict.fromkeys(_words(text))
            if RAREST_PARAGRAPHS <= spread[word] <= max(RAREST_PARAGRAPHS, COMMONEST_SHARE * len(items))
        ]
        size = chosen.randint(*WORDS_IN_QUERY)
        if len(telling) >= size and once[text] == 1:
            kept = set(chosen.sample(telling, size))
            found.append(KnownItem(" ".join(word for word in telling if word in kept), path, text))
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]{3,}", text.lower())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    items = list(paragraphs(given.corpus))
    if not items:
        print(f"There is no paragraph of prose in {given.corpus}: give a folder with .txt, .md or .rst files.", file=sys.stderr)
        return 2
    for item in make(items, given.count, given.seed):
        print(json.dumps(asdict(item), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
