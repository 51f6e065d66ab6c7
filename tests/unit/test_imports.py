"""Imports go one way: no file and no folder imports in a circle, imports inside functions included, imports for type checkers alone not.

A folder counts with all it holds: two members of one folder (files or folders) form a circle when something in the one imports something in
the other and the reverse. The directions themselves are contracts of import-linter in pyproject.toml (`lint-imports`, part of `make check`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from app import providers
from teal import adapters

TESTS = Path(__file__).parents[1]
ROOTS = ("app", "contract", "teal", "infra", "loadtests")
# `load` imports an adapter by its name, where no one who reads the source sees it: who looks it up, and in which table.
LOOKED_UP: Mapping[str, Mapping[str, str]] = {
    "app.search.engines": providers.SEARCH_ENGINES,
    "app.models.embed": providers.EMBEDDING_PROVIDERS,
    "app.models.generate": providers.GENERATION_PROVIDERS,
    "app.backup.adapters": {
        **providers.SNAPSHOT_STORES,
        **{f"copies of {name}": made for name, made in providers.SEARCH_COPIES.items()},
    },
    "teal.laptop.open_traffic": {"traffic": adapters.ADAPTERS["traffic"][adapters.LAPTOP.traffic]},
    "teal.laptop.target": {port: adapters.ADAPTERS[port][getattr(adapters.LAPTOP, port)] for port in adapters.ADAPTERS},
    "teal.aws.target": {port: adapters.ADAPTERS[port][getattr(adapters.AWS, port)] for port in adapters.ADAPTERS},
}


@cache
def imports() -> grimp.ImportGraph:
    graph = grimp.build_graph(*ROOTS, exclude_type_checking_imports=True)
    for importer, table in LOOKED_UP.items():
        for adapter in table.values():
            graph.add_import(importer=importer, imported=adapter.partition(":")[0])
    return graph


def circle(edges: Mapping[str, set[str]]) -> str | None:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return None


def folders(graph: grimp.ImportGraph) -> Iterator[str]:
    return (module for module in sorted(graph.modules) if graph.find_children(module))


def circle_in(graph: grimp.ImportGraph, folder: str) -> str | None:
    """The first circle between members of the folder."""
    members = graph.find_children(folder)
    member_of = {module: member for member in members for module in {member, *graph.find_descendants(member)}}
    edges: dict[str, set[str]] = {member: set() for member in members}
    for module, member in member_of.items():
        edges[member] |= {member_of[one] for one in graph.find_modules_directly_imported_by(module) if one in member_of} - {
            member
        }
    return circle(edges)


def circle_of_files(graph: grimp.ImportGraph, root: str) -> str | None:
    modules = {root, *graph.find_descendants(root)}
    return circle({module: graph.find_modules_directly_imported_by(module) & modules for module in modules})


@pytest.mark.parametrize("root", ROOTS)
def test_no_file_imports_in_a_circle(root: str) -> None:
    assert circle_of_files(imports(), root) is None


@pytest.mark.parametrize("root", ROOTS)
def test_no_folder_imports_in_a_circle(root: str) -> None:
    graph = imports()
    own = [folder for folder in folders(graph) if folder.split(".")[0] == root]
    assert {folder: found for folder in own if (found := circle_in(graph, folder))} == {}


def private_names(source: str) -> set[str]:
    """Private names of the code that a test imports, reads from an imported module or class, or replaces."""
    imported, taken = set[str](), set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ROOTS:
            taken |= {name.name for name in node.names}
            imported |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            taken.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            taken |= {str(one.value).rpartition(".")[2] for one in node.args if isinstance(one, ast.Constant)}
    return {name for name in taken if re.match(r"_[a-zA-Z]", name)}


def test_no_test_takes_a_private_name_of_the_code() -> None:
    """What a test needs is a promise, and has a public name."""
    assert private_names("from app import main\nmain._hidden()") == {"_hidden"}
    found = {
        str(file.relative_to(TESTS)): private_names(file.read_text(encoding="utf-8")) for file in sorted(TESTS.rglob("*.py"))
    }
    assert {file: names for file, names in found.items() if names} == {}


def test_a_circle_is_found() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("house.kitchen.oven", "house.hall"), ("house.hall", "house.kitchen.sink")):
        graph.add_import(importer=importer, imported=imported)
    for module in ("house", "house.kitchen"):
        graph.add_module(module)
    assert circle_in(graph, "house") is not None
    assert circle_in(graph, "house.kitchen") is None
