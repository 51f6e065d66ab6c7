"""The hooks and notifications of a release. They are checked once when it begins and kept beside its plan,
also for a process that resumes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from contract.steering import Steering
from teal.errors import BadInput, OperatorError
from teal.ports.target import ReleaseRules, Target
from teal.record.model import Store
from teal.record.releases import read_kept
from teal.release.plan import STEPS
from teal.release.senders.registry import SENDERS

_SHARED: Final = ("shift", "behave", "analyse", "pause")  # steps that exist once for each share
_SECRET_NAME: Final = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET_CHARACTERS: Final = 8  # a shorter value occurs in many words by chance


def steering_key(id: str) -> str:
    return f"releases/{id}.steering.json"


def read_steering_file(target: Target, environ: Mapping[str, str]) -> Steering:
    """Read the target's file. Raises BadInput for an unknown step or sender, for a secret that cannot be read, and for a secret
    that is written out instead of being referenced."""
    found = target.steering()
    known = step_names(target.rules)
    for hook in found.hooks:
        if hook.step not in known:
            close = difflib.get_close_matches(hook.step, known, 1)
            raise _wrong(f"hook {hook.name}: no release has a step {hook.step}", f"write {close[0] if close else known[0]}")
        for name, reference in hook.secrets.items():
            resolve_secret(reference, environ, f"hook {hook.name}: {name}")
        _refuse_secrets(hook.name, (*hook.run, hook.post or ""), environ)
        if hook.post and not hook.post.startswith("http"):
            resolve_secret(hook.post, environ, f"hook {hook.name}: post")
    for number, notification in enumerate(found.notifications):
        sender = SENDERS.get(notification.send)
        if sender is None:
            raise _wrong(
                f"notifications.{number}: there is no sender {notification.send}", f"write one of {', '.join(sorted(SENDERS))}"
            )
        if said := sender.refuses(notification.to):
            raise _wrong(f"notifications.{number}: {said}", "correct its `to`")
        if notification.to.startswith(("env:", "file:")):
            resolve_secret(notification.to, environ, f"notifications.{number}")
    return found


def step_names(rules: ReleaseRules) -> tuple[str, ...]:
    """The names of steps that hooks can use: a kind of step, or a kind at one share."""
    kinds = tuple(step.name for step in STEPS)
    return (*kinds, *(f"{kind}-{percent}" for kind in _SHARED for percent in rules.steps))


def store_steering(store: Store, id: str, steering: Steering) -> None:
    """Keep them beside the plan, so that a process that resumes or undoes the release uses the same ones.
    Writes nothing if there are none."""
    if steering != Steering():
        store.create(steering_key(id), steering.model_dump_json(indent=1).encode())


def read_stored(store: Store, id: str) -> Steering:
    """Read what `store_steering` kept. Raises StoreFailed when that fails:
    a release must not go on without a hook that would stop it."""
    return read_kept(Steering, store, steering_key(id)) or Steering()


def resolve_secret(reference: str, environ: Mapping[str, str], whose: str) -> str:
    """The secret itself. Raises BadInput when it is not there."""
    kind, _, place = reference.partition(":")
    if kind == "env":
        value = environ.get(place, "")
    else:
        try:
            value = Path(place).expanduser().read_text(encoding="utf-8-sig").rstrip("\r\n")
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            raise _wrong(f"{whose}: {reference} cannot be read ({type(error).__name__})", f"ls -l {place}") from None
    if not value:
        raise _wrong(
            f"{whose}: {reference} is empty or not set", f"export {place}=..." if kind == "env" else f"write it into {place}"
        )
    return value


def _refuse_secrets(name: str, words: Iterable[str], environ: Mapping[str, str]) -> None:
    """Raise BadInput for a secret in an argument, which other processes can see, and which the record and the evidence keep."""
    for variable, value in environ.items():
        if len(value) >= _SECRET_CHARACTERS and _SECRET_NAME.search(variable) and any(value in word for word in words):
            raise _wrong(
                f"hook {name}: the value of {variable} is written out in it", f"write secrets: {{{variable}: env:{variable}}}"
            )


def _wrong(what: str, next: str) -> BadInput:
    return BadInput(f"teal:releases: {what}", where="the stack's configuration", next=next)


def without_store_errors(store: Store, id: str) -> Steering:
    """Like `read_stored`, but without hooks when the store fails, because an undo must not depend on the store."""
    try:
        return read_stored(store, id)
    except OperatorError:
        return Steering()
