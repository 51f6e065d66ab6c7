"""Every page names files that are there: a path or a module in backticks, and a relative link."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("app", "contract", "dashboards", "docs", "infra", "loadtests", "runbooks", "teal", "tests", "tools", r"\.ci", r"\.github")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?<![\w./~:-])(?:{'|'.join(TOPS)})/[\w./<>{{}}*-]*[\w/>}}*]")
MODULE = re.compile(r"(?<![\w./:-])(?:app|contract|infra|loadtests|teal|tests)(?:\.[a-z_][a-z0-9_]*)+(?![\w(/])")
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
STANDS_FOR_SOMETHING = re.compile(r"[<>{}*]|NAME|NNNN|SLUG|REPLACE")
BEFORE = re.compile(
    r"(?<=\| change \| before \| now \|\n).*?(?=\n\n|\Z)", re.DOTALL
)  # a table, of which one column says how it was
# Names in other repositories, and names that are no module.
ELSEWHERE = {
    "CONTRIBUTING.md": {"tests/unit/ban.py"},  # lands with `make unit`
    "docs/decisions/0006-secrets-by-reference.md": {"tests/test-manager.py", "tests/addon_config_values.yaml"},
    "tests/bad_versions/README.md": {"app/x.py", "app/x.py.part"},
    "docs/observability.md": {"teal.request_id", "teal.color"},  # fields of a log line
}


@cache
def tracked() -> frozenset[str]:
    """Every file in the repository, and every folder of one."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [line for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    return frozenset(files) | {str(folder) for file in files for folder in Path(file).parents}


def pages() -> list[str]:
    return sorted(name for name in tracked() if name.endswith(".md"))


def is_there(named: str) -> bool:
    """Whether it is a file or folder; or a module, or a name inside one whose text holds it."""
    if "/" in named:
        return named.rstrip("/") in tracked()
    path = named.replace(".", "/")
    outer, _, name = path.rpartition("/")
    module = next((file for file in (f"{outer}.py", f"{outer}/__init__.py") if file in tracked()), None)
    inside = module is not None and re.search(rf"\b{name}\b", (ROOT / module).read_text(encoding="utf-8")) is not None
    return f"{path}.py" in tracked() or path in tracked() or inside


def named(text: str) -> Iterator[str]:
    now = BEFORE.sub(lambda table: re.sub(r"^(\|[^|\n]*\|)[^|\n]*\|", r"\1", table.group(), flags=re.MULTILINE), text)
    for code in CODE.findall(now):
        yield from (
            found for pattern in (PATH, MODULE) for found in pattern.findall(code) if not STANDS_FOR_SOMETHING.search(found)
        )


@pytest.mark.parametrize("page", pages())
def test_what_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert {name for name in named(text) if not is_there(name)} <= ELSEWHERE.get(page, set())


@pytest.mark.parametrize("page", pages())
def test_a_page_s_links_lead_to_files(page: str) -> None:
    links = [
        link
        for link in LINK.findall((ROOT / page).read_text(encoding="utf-8"))
        if "://" not in link and not link.startswith("mailto:")
    ]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("name", ["app/rag/parse.py", "app.rag.parse", "teal/stack/", "app.text.parse.no_such_name"])
def test_what_is_not_there_is_noticed(name: str) -> None:
    assert list(named(f"see `{name}`")) == [name]
    assert not is_there(name)
