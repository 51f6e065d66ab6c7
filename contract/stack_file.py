"""Reads `Pulumi.<stack>.yaml` for everything that needs it: `teal`, the price and the evaluation."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

MOST_DEPTH: Final = 20  # nested levels of lists and mappings; a real stack's file has five


class NotAStackFile(ValueError):
    """The file cannot be read as a stack's file. The message says why and where in it, and does not name the file."""


def read_values(path: Path) -> dict[str, Any]:
    """The whole document. Raises NotAStackFile, or OSError when there is no such file."""
    import yaml  # not in the service's image

    if TYPE_CHECKING:
        from yaml import SafeLoader as Loader
    else:
        Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where libyaml is there

    class Strict(Loader):
        """Refuses a duplicate key; YAML would silently keep the last one."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen: set[object] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise NotAStackFile(f"line {key.start_mark.line + 1}: {key.value} is there twice")
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotAStackFile(
            f"it is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}; save it as UTF-8"
        ) from None
    try:
        depth = 0
        # Checked before any object is built: deep nesting can crash the interpreter, and ten aliases can expand to a gigabyte.
        for event in yaml.parse(text, Strict):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent):
                raise NotAStackFile(f"line {line}: *{event.anchor} stands for what is written elsewhere; write it out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise NotAStackFile(f"line {line}: more than {MOST_DEPTH} lists and mappings in one another")
        document: object = yaml.load(text, Strict)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise NotAStackFile(f"{place}it is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise NotAStackFile(f"it is not YAML: {' '.join(str(error).split())}") from None
    if document is None:
        raise NotAStackFile("it is empty")
    if not isinstance(document, dict):
        raise NotAStackFile(f"it holds a {type(document).__name__}, not keys and values")
    whole = cast(dict[str, Any], document)
    if not isinstance(whole.get("config"), dict):
        raise NotAStackFile("it has no `config:` with keys and values below it")
    return whole


def read_config(path: Path) -> dict[str, object]:
    """The mapping below `config:`, keyed `teal:network` and so on."""
    return cast(dict[str, object], read_values(path)["config"])
