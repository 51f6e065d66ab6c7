"""The demonstration corpus: Django's documentation (BSD-3-Clause) from its pinned source distribution.

When that cannot be fetched, the smaller set of language topics that every Python contains (PSF licence) is used.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from teal.errors import FetchFailed
from teal.laptop.artifacts import DJANGO_DOCS, SourceDistribution
from teal.laptop.demo import rest_text
from teal.laptop.fetch import disk_errors_fail_the_fetch
from teal.laptop.layout import Layout
from teal.laptop.packages import download_source

QUESTION = "How do I retrieve only some objects with filters?"
FALLBACK_QUESTION = "What does the with statement do?"
# These are sent first, so that the first passages contain the sources for the first question.
FIRST = ("topics/db/queries.txt", "intro/tutorial02.txt", "topics/db/models.txt", "topics/db/aggregation.txt", "intro/overview.txt",
         "topics/http/urls.txt", "topics/forms/index.txt", "topics/auth/default.txt")  # fmt: skip


@dataclass(frozen=True, slots=True)
class CorpusDocument:
    """One document of the corpus. `source` is its path inside the distribution."""

    title: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents in the order they are sent. `reduced`: why the smaller corpus was taken, None for the whole one."""

    collection: str
    name: str
    licence: str
    question: str
    texts: tuple[CorpusDocument, ...]
    reduced: str | None = None


def load_corpus(layout: Layout) -> Corpus:
    """The corpus, fetched at the first call and kept in `.teal/corpus`; never raises for a missing network or a full disk."""
    try:
        archive = fetch_archive(layout, DJANGO_DOCS)
        return django(archive)
    except FetchFailed as error:
        return python_topics(error.reason)


def django(archive: Path) -> Corpus:
    """Django's documentation from its source distribution."""
    texts = sorted(read_archive(archive, DJANGO_DOCS), key=lambda text: (_rank(text.source), text.source))
    return Corpus(
        "django-docs", f"the documentation of Django {DJANGO_DOCS.version}", DJANGO_DOCS.licence, QUESTION, tuple(texts)
    )


def _rank(source: str) -> int:
    inside = source.removeprefix(DJANGO_DOCS.root + "/")
    return FIRST.index(inside) if inside in FIRST else len(FIRST)


def archive_path(layout: Layout, wanted: SourceDistribution) -> Path:
    return layout.corpus / f"{wanted.project}-{wanted.version}.tar.gz"


def fetch_archive(layout: Layout, wanted: SourceDistribution) -> Path:
    """The archive, verified by pip against the pinned hash. Raises FetchFailed."""
    kept = archive_path(layout, wanted)
    if kept.is_file():
        return kept
    with (
        disk_errors_fail_the_fetch(wanted.project),
        tempfile.TemporaryDirectory(prefix=".part-", dir=layout.corpus) as folder,
    ):
        os.replace(download_source(wanted.project, wanted.version, wanted.sha256, Path(folder)), kept)
    return kept


def read_archive(archive: Path, wanted: SourceDistribution) -> Iterator[CorpusDocument]:
    """The wanted texts. Nothing is extracted to disk."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            inside = path.relative_to(wanted.root) if path.is_relative_to(wanted.root) else None
            if (
                inside is None
                or not member.isfile()
                or path.suffix != ".txt"
                or inside.parts[0] not in wanted.folders
                or len(inside.parts) < 2
            ):
                continue
            file = tar.extractfile(member)
            if file is None:
                continue
            source = file.read().decode("utf-8", "replace")
            yield CorpusDocument(rest_text.title(source) or inside.stem, rest_text.clean(source), str(path))


def python_topics(reason: str) -> Corpus:
    """The language reference's topics from the standard library's `pydoc_data`."""
    from pydoc_data.topics import topics

    texts = tuple(CorpusDocument(rest_text.title(text) or name, rest_text.clean(text), f"pydoc_data/topics/{name}") for name, text in
                  sorted(topics.items(), key=lambda item: (item[0] not in ("with", "compound", "context-managers"), item[0])))  # fmt: skip
    name = f"Python {sys.version_info.major}.{sys.version_info.minor}'s language topics"
    return Corpus("python-topics", name, "PSF-2.0", FALLBACK_QUESTION, texts, reduced=reason)
