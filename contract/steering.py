"""What an operator lets happen around a release: hooks before and after its steps, and who is told of it. It is the section `teal:releases` of a
stack's file; `infra` refuses a wrong one before anything is created, `teal` obeys it. Secrets are named here and never written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Where a secret is: a variable of the environment, or a file that holds it alone (its line end is cut).
Reference = Annotated[str, Field(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[/~].+)$")]
# Without a name or a password in it: they would be in the record and in the evidence.
Url = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]
Moment = Literal["start", "pause", "undo", "done"]
MOMENTS: tuple[Moment, ...] = ("start", "pause", "undo", "done")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hook(_Frozen):
    """One command, or one POST, before or after a step (`shift-25`; `shift` is each of them). A JSON object says which release and step: on
    its standard input, or as the body. `secrets`: variables of the command's environment, or headers of the POST. A hook that fails undoes
    the release; `on_timeout` says what a slow one does."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    before: str | None = None
    after: str | None = None
    run: tuple[str, ...] = ()
    post: Url | Reference | None = None
    secrets: Mapping[str, Reference] = {}
    # Ten minutes at most: while it runs the shares stay as they are, and a bad version with them.
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
        """In a line, as `--dry-run` and the evidence show it."""
        what = f"run {' '.join(self.run)}" if self.run else f"POST {self.post}"
        late = "is undone" if self.on_timeout == "undo" else "goes on"
        return f"{what}; after {self.timeout_seconds:g} s the release {late}" + (
            f"; given: {', '.join(self.secrets)}" if self.secrets else ""
        )


class Notification(_Frozen):
    """Who is told of which moments. `send`: a sender's name (teal/release/senders/); `to`: what that sender takes. Both of its tries
    together end within `timeout_seconds`."""

    send: str
    to: str
    about: tuple[Moment, ...] = MOMENTS
    timeout_seconds: float = Field(default=10.0, gt=0, le=60)


class Steering(_Frozen):
    """The whole section."""

    hooks: tuple[Hook, ...] = ()
    notifications: tuple[Notification, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> Steering:
        names = [hook.name for hook in self.hooks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"hook {twice[0]} is there twice: give each its own name")
        return self
