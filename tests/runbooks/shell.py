"""What a block of bash runs, seen without running it: its commands wherever they stand, its variables, and what it writes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

_BASH = Language(tree_sitter_bash.language())


@dataclass(frozen=True)
class Script:
    """`commands`: words of each, substitutions inside others included; `used` and `assigned` variables; `written`: files it redirects to."""

    commands: tuple[tuple[str, ...], ...]
    used: frozenset[str]
    assigned: frozenset[str]
    written: tuple[str, ...]
    broken: bool


def read(text: str, values: Mapping[str, str]) -> Script:
    """Parse. In a command's words a variable stands for its value in `values`, or for its own name; a substitution for an `x`."""
    root = Parser(_BASH).parse(text.encode()).root_node
    nodes = list(_walk(root))
    return Script(
        tuple(tuple(_words(node, values)) for node in nodes if node.type == "command" and node.child_by_field_name("name")),
        frozenset(_text(node) for node in nodes if node.type == "variable_name" and node.parent is not None
                  and node.parent.type in ("simple_expansion", "expansion")),
        frozenset(_text(name) for node in nodes for name in node.children
                  if node.type in ("variable_assignment", "for_statement") and name.type == "variable_name")
        | frozenset(_text(node.children[-1]) for node in nodes if node.type == "command" and _text(node).startswith("read ")),
        tuple(_text(node.children[-1]) for node in nodes
              if node.type == "file_redirect" and any(child.type in (">", ">>", "&>", ">|") for child in node.children)),
        root.has_error,
    )  # fmt: skip


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _words(command: Node, values: Mapping[str, str]) -> Iterator[str]:
    for node in command.named_children:
        if node.type == "command_name":
            yield _text(node)
        elif node.type not in ("variable_assignment", "file_redirect", "herestring_redirect"):
            yield _value(node, values)


def _value(node: Node, values: Mapping[str, str]) -> str:
    """The word that bash would pass on."""
    if node.type in ("simple_expansion", "expansion"):
        name = next(_text(child) for child in node.children if child.type in ("variable_name", "special_variable_name"))
        return values.get(name, name)
    if node.type == "command_substitution":
        return "x"
    if node.type == "raw_string":
        return _text(node)[1:-1]
    if node.type == "string":
        inner, at, end = "", node.start_byte + 1, node.end_byte - 1
        for child in node.named_children:
            if child.type in ("simple_expansion", "expansion", "command_substitution"):
                inner += _between(node, at, child.start_byte) + _value(child, values)
                at = child.end_byte
        return (inner + _between(node, at, end)).replace('\\"', '"')
    if node.type == "concatenation":
        return "".join(_value(child, values) for child in node.children)
    return _text(node)


def _between(node: Node, start: int, end: int) -> str:
    return (node.text or b"")[start - node.start_byte : end - node.start_byte].decode()
