"""Every regular expression of the product, found in its source and in what its modules hold, so that none depends on being remembered."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("app", "contract", "loadtests", "teal")
_CALLS: Final = frozenset({"compile", "match", "search", "fullmatch", "split", "sub", "subn", "findall", "finditer"})
# Running them begins something, or changes this process (Locust replaces the sockets).
_NOT_IMPORTED: Final = ("app.catalog.migrations", "app.main", "app.worker", "app.admin", "loadtests.")
_JS_LITERAL: Final = re.compile(r"(?<=[(=,!&|:?\s])/(?![/*\s])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+)/([a-z]*)(?=[.,;)\s])")

Pattern = re.Pattern[str] | re.Pattern[bytes]


def _causes() -> list[str]:
    from teal.laptop import causes

    return [pattern for pattern, _ in vars(causes)["_CAUSES"]]


def _pulumi_causes() -> list[str]:
    from teal.aws.pulumi.causes import CAUSES

    return [one.words for one in CAUSES]


def _signals() -> list[str]:
    from app.observability.signals import panels

    return sorted(set(_of_labels(tuple(vars(panels).values()), "where")))


def _gates() -> list[str]:
    from teal.metrics import counters, gates

    return sorted(set(_of_labels((*vars(counters).values(), *vars(gates).values()), "match")))


def _of_labels(value: Any, name: str) -> Iterator[str]:
    """The patterns of labels in fields of this name, in whatever an object holds."""
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            held = getattr(value, one.name, None)
            if one.name.endswith(name) and isinstance(held, Mapping):
                yield from held.values()
            else:
                yield from _of_labels(held, name)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _of_labels(each, name)


def _dense() -> list[str]:
    from app.answering import question

    return [f"({vars(question)['_IN_DENSE'].pattern}+)"]


def _made_tables() -> list[str]:
    from app.catalog import expanding

    return [rf"CREATE TABLE\s+({vars(expanding)['_NAME']})"]


# Patterns that are put together while a function runs, by file and function: each as long as it becomes. A word in one is escaped.
AT_WORK: Final[Mapping[str, Callable[[], list[str]]]] = {
    "app/answering/cite.py:_cut": lambda: [rf"\n[ \t]*{re.escape('`' * 20)}[^\n]*\n+", rf"\n[ \t]*{re.escape('~~~')}[^\n]*\n+"],
    "app/answering/extract.py:without_word": lambda: [rf"(?<!\w){re.escape(word)}(?!\w)" for word in ("a", "a" * 80)],
    "app/answering/relevance.py:_ends_a_name": lambda: [
        rf"(?<=\s)[A-Z][\w'&-]+ +{re.escape(word)}\b" for word in ("a", "a" * 80)
    ],
    "app/answering/question.py:_by_script": _dense,
    "app/catalog/expanding.py:destructive": _made_tables,
    "app/models/generate_openai.py:_open": lambda: [r"\bmax_completion_tokens\b"],
    "app/observability/signals/live.py:_grouped": _signals,
    "teal/aws/pulumi/causes.py:cause": _pulumi_causes,
    "teal/laptop/causes.py:explain": _causes,
    "teal/laptop/secrets.py:kept_secret": lambda: ["[0-9a-f]{48}", "[A-Za-z0-9_-]{43}"],
    "teal/metrics/counters.py:_matches": _gates,
}
# Functions and comprehensions at a module's top that compile what they are given; what they made is held by the module.
HELD: Final = frozenset({"app/answering/answer_type.py:", "app/catalog/expanding.py:_statement"})


def _held(value: object) -> Iterator[Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _held(each)
    elif isinstance(value, tuple | list | frozenset | set):
        for each in value:
            yield from _held(each)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from _held(getattr(value, one.name, None))


def _held_by_modules() -> Iterator[tuple[str, Pattern]]:
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if module.name.startswith(_NOT_IMPORTED) or module.name.endswith("__main__"):
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                for number, pattern in enumerate(_held(value)):
                    yield f"{module.name.replace('.', '/')}.py:{name}:{number}", pattern


def _spelled(tree: ast.Module) -> dict[str, str]:
    """What each name of a module is called where it comes from."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return names


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call of `re`, however it is imported, and the function it stands in ('' at the module's top)."""
    names, inside = _spelled(tree), dict[ast.AST, str]()
    for node in ast.walk(tree):  # from the outside in, so that the innermost function has the last word
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= dict.fromkeys(ast.walk(node), node.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, dot, rest = ast.unparse(node.func).partition(".")
            module, _, name = f"{names.get(head, head)}{dot}{rest}".rpartition(".")
            if module in ("re", "regex", "re2") and name in _CALLS:
                yield node, inside.get(node, "")


def _flags(call: ast.Call) -> re.RegexFlag:
    combined = re.RegexFlag(0)
    for name in set(
        re.findall(r"re\.([A-Z]+)\b", " ".join(ast.unparse(one) for one in [*call.args[1:], *(k.value for k in call.keywords)]))
    ):
        combined |= getattr(re, name)
    return combined


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def _constant(call: ast.Call) -> str | bytes | None:
    given = call.args[0] if call.args else next((one.value for one in call.keywords if one.arg == "pattern"), None)
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str | bytes) else None


def written_patterns(where: str, tree: ast.Module) -> Iterator[tuple[str, Pattern]]:
    """The expressions that stand in a file's calls of `re` as they are, by file, line and column: a line may hold several."""
    for call, _ in _calls(tree):
        if (written := _constant(call)) is not None:
            yield f"{where}:{call.lineno}:{call.col_offset}", re.compile(written, _flags(call))


@cache
def product_patterns() -> Mapping[str, Pattern]:
    """Each expression once, by where it stands: file, line and column, file and function, or file and the name that holds it."""
    found: dict[str, Pattern] = {}
    for where, tree in _sources():
        found |= dict(written_patterns(where, tree))
    for where, patterns in AT_WORK.items():
        found |= {f"{where}:{number}": re.compile(one, re.IGNORECASE) for number, one in enumerate(patterns())}
    for path in sorted((ROOT / "app" / "web").glob("*.js")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for literal in _JS_LITERAL.finditer(line):
                flags = re.RegexFlag(0)
                for one in set(literal[2]) & {"i", "m", "s"}:
                    flags |= getattr(re, one.upper())
                written = re.sub(r"\[\^?[^\]]*", lambda group: group[0][0] + group[0][1:].replace("[", r"\["), literal[1])
                found[f"app/web/{path.name}:{number}:{literal.start()}"] = re.compile(written, flags)
    known = {(one.pattern, one.flags) for one in found.values()}
    for where, one in _held_by_modules():
        if (one.pattern, one.flags) not in known:
            found[where] = one
            known.add((one.pattern, one.flags))
    return found


def unknown() -> list[str]:
    """Calls whose pattern nobody could find, entries of the tables here that stand for no call, and engines that are not linear."""
    used, found = set[str](), list[str]()
    imported = {where.partition(":")[0] for where, _ in _held_by_modules()}
    for where, tree in _sources():
        for call, function in _calls(tree):
            place = f"{where}:{function}"
            if _constant(call) is not None:
                continue
            if place in AT_WORK or place in HELD:
                used.add(place)
            elif function or where not in imported:
                found.append(f"{place} line {call.lineno}: {ast.unparse(call)}")
        found += [f"{where}: Python's engine for pydantic" for node in ast.walk(tree)
                  if isinstance(node, ast.Constant) and node.value == "python-re"]  # fmt: skip
    return found + sorted((set(AT_WORK) | HELD) - used)
