"""What an operator configures around a release: hooks before and after its steps, and notifications. It is the section
`teal:releases` of a stack's file: `infra` refuses a wrong one before anything is created, and `teal` follows it. A secret is
referenced, never written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Where a secret is stored: an environment variable, or a file that contains nothing else (its line end is cut).
Reference = Annotated[str, Field(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[/~].+)$")]
# A URL must not contain a user name or password: they would appear in the release record and in the evidence.
Url = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]
Moment = Literal["start", "pause", "undo", "done"]
MOMENTS: tuple[Moment, ...] = ("start", "pause", "undo", "done")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hook(_Frozen):
    """One command or one POST before or after a step. `before` and `after` name a step:
    `shift-25`, or `shift` for every such step.

    The command gets a JSON object with the release and the step on its standard input, the POST gets it as its body.
    `secrets` become environment variables of the command, or headers of the POST. A hook that fails undoes the
    release; `on_timeout` decides for a slow one.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    before: str | None = None
    after: str | None = None
    run: tuple[str, ...] = ()
    post: Url | Reference | None = None
    secrets: Mapping[str, Reference] = {}
    # Ten minutes at most: the traffic shares do not change while a hook runs, so a bad version would keep its share.
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    on_timeout: Literal["continue", "undo"] = "undo"

    @model_validator(mode="after")
    def _one_of_each(self) -> Hook:
        if (self.before is None) == (self.after is None):
            raise ValueError(f"hook {self.name} stands before one step or after one: write one of before and after")
        if bool(self.run) == bool(self.post):
            raise ValueError(f"hook {self.name} is a command or a POST: write one of run and post")
        return self

    @property
    def when(self) -> Literal["before", "after"]:
        return "before" if self.before is not None else "after"

    @property
    def step(self) -> str:
        return self.before or self.after or ""

    def says(self) -> str:
        """The hook in one line, as `--dry-run` and the evidence show it."""
        what = f"run {' '.join(self.run)}" if self.run else f"POST {self.post}"
        late = "is undone" if self.on_timeout == "undo" else "goes on"
        return f"{what}; after {self.timeout_seconds:g} s the release {late}" + (
            f"; given: {', '.join(self.secrets)}" if self.secrets else ""
        )


class Notification(_Frozen):
    """One receiver of notifications, and the moments that are reported to it. `send`: the name of a sender
    (teal/release/senders/); `to`: the destination in the form that this sender expects. Its two tries
    together end within `timeout_seconds`."""

    send: str
    to: str
    about: tuple[Moment, ...] = MOMENTS
    timeout_seconds: float = Field(default=10.0, gt=0, le=60)


class Steering(_Frozen):
    """The whole section `teal:releases`."""

    hooks: tuple[Hook, ...] = ()
    notifications: tuple[Notification, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> Steering:
        names = [hook.name for hook in self.hooks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"hook {twice[0]} is there twice: give each its own name")
        return self
