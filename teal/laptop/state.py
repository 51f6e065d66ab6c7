"""The choices of the first `teal up` that later ones keep, such as ports and the search engine, in `.teal/stack.json`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from teal.errors import BadInput
from teal.laptop.files import write_private
from teal.laptop.layout import Layout
from teal.laptop.loopback import free_ports, is_free
from teal.record.model import Color

Search = Literal["embedded", "elasticsearch"]
DEFAULT_PORT = 8443
APP_PROCESSES = 2  # of each color: one can be killed or restarted while the other answers


class Ports(BaseModel):
    """Loopback ports. `public` is HTTPS for people; the others are for the parts among themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    public: int
    blue: tuple[int, ...]
    green: tuple[int, ...]
    redis: int
    elasticsearch: int
    elasticsearch_transport: int
    workers: tuple[int, int]  # where blue's and green's worker serve their metrics
    others: dict[str, int] = Field(default_factory=dict)  # ports of later parts, by the name each asks for

    def apps(self, color: Color) -> tuple[int, ...]:
        """Ports of the color's app processes."""
        return self.blue if color == "blue" else self.green

    def worker(self, color: Color) -> int:
        """Port of the color's worker."""
        return self.workers[0 if color == "blue" else 1]

    def of(self, name: str) -> int:
        """The port that a part asked for by this name."""
        return self.others[name] if name in self.others else int(getattr(self, name))

    @model_validator(mode="before")
    @classmethod
    def _written_by_an_earlier_version(cls, given: Any) -> Any:
        """Convert the state of earlier versions: the first had one color, which becomes blue;
        later ones had no ports for the workers' metrics."""
        if not isinstance(given, dict):
            return given
        found = dict(given)
        if "apps" in found:
            found |= {"blue": found.pop("apps"), "green": free_ports(APP_PROCESSES)}
        return found if "workers" in found else {"workers": free_ports(2)} | found


class LaptopState(BaseModel):
    """The choices of the first start that later ones keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    ports: Ports
    search: Search = "embedded"
    elasticsearch_home: Path | None = None


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of this `teal up`; None keeps the earlier choice."""

    search: Search | None = None
    port: int | None = None


def load_state(layout: Layout) -> LaptopState | None:
    """The kept state, or its copy when it is damaged or lost; None before the first start.
    Raises BadInput for the state of a newer version."""
    try:
        return LaptopState.model_validate_json(layout.state_file.read_bytes())
    except FileNotFoundError:
        if not layout.state_copy.exists():
            return None
        return _copy(layout, "FileNotFoundError")
    except NotADirectoryError as error:
        raise BadInput(
            "The place of the stack is no folder", where=str(layout.home), next="TEAL_HOME=/another/folder teal up"
        ) from error
    except (OSError, ValueError) as error:
        if unknown := _of_a_newer_version(error):
            raise BadInput(f"A newer Teal wrote the kept state: this one does not know {unknown}", where=str(layout.state_file),
                           next="the newer version's `teal`, from its own checkout with TEAL_HOME="
                                f"{layout.home}; this one begins anew with TEAL_HOME=/another/folder teal up") from error  # fmt: skip
        return _copy(layout, error.__class__.__name__)


def _copy(layout: Layout, why: str) -> LaptopState:
    try:
        return LaptopState.model_validate_json(layout.state_copy.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"The kept state cannot be read ({why}), and there is no good copy of it", where=str(layout.state_file),
                       next=f"teal down; rm -r {layout.state_file} {layout.state_copy}; teal up") from error  # fmt: skip


def _of_a_newer_version(error: Exception) -> str:
    """The fields of an undamaged state that this version does not know; empty for a damaged state."""
    if not isinstance(error, ValidationError):
        return ""
    found = error.errors()
    if any(one["type"] not in ("extra_forbidden", "literal_error") for one in found):
        return ""
    return ", ".join(".".join(map(str, one["loc"])) for one in found)


def is_damaged(layout: Layout) -> bool:
    """Whether the kept state cannot be read, or is gone although its copy is there."""
    try:
        LaptopState.model_validate_json(layout.state_file.read_bytes())
    except FileNotFoundError:
        return layout.state_copy.exists()
    except (OSError, ValueError):
        return True
    return False


def save_state(layout: Layout, state: LaptopState) -> None:
    """Write the state whole or not at all, and its copy after it."""
    for path in (layout.state_file, layout.state_copy):
        write_private(path, state.model_dump_json(indent=2) + "\n")


def choose_state(previous: LaptopState | None, options: UpOptions, names: Iterable[str] = ()) -> LaptopState:
    """The previous choice with the options applied, and free ports where there was none. `names`: ports that the parts ask for."""
    if previous is None:
        free = free_ports(2 * APP_PROCESSES + 5)
        ports = Ports(
            public=options.port or DEFAULT_PORT,
            blue=tuple(free[5 : 5 + APP_PROCESSES]),
            green=tuple(free[5 + APP_PROCESSES :]),
            workers=(free[3], free[4]),
            redis=free[0],
            elasticsearch=free[1],
            elasticsearch_transport=free[2],
        )
        previous = LaptopState(ports=ports)
    ports = previous.ports
    new = [name for name in names if name not in Ports.model_fields and name not in ports.others]
    others = {**ports.others, **dict(zip(new, free_ports(len(new)), strict=True))} if new else ports.others
    ports = ports.model_copy(update={"public": options.port or ports.public, "others": others})
    return previous.model_copy(update={"ports": ports, "search": options.search or previous.search})


def with_free_ports(state: LaptopState) -> LaptopState:
    """Replace inner ports that other programs took while the stack was down.
    The public port is never replaced: the operator chooses it."""

    def keep(port: int) -> int:
        return port if is_free(port) else free_ports(1)[0]

    old = state.ports
    ports = Ports(
        public=old.public,
        blue=tuple(keep(port) for port in old.blue),
        green=tuple(keep(port) for port in old.green),
        redis=keep(old.redis),
        elasticsearch=keep(old.elasticsearch),
        elasticsearch_transport=keep(old.elasticsearch_transport),
        workers=(keep(old.workers[0]), keep(old.workers[1])),
        others={name: keep(port) for name, port in old.others.items()},
    )
    return state.model_copy(update={"ports": ports})
