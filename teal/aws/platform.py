"""Reads the outputs of the platform's Pulumi program, which `teal` and a color's program need."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from contract.platform import Platform as Platform
from teal.aws.pulumi.causes import cause
from teal.errors import BadInput, OperatorError

EXPORT_SECONDS: Final = 30  # reading one object takes 2 s; longer means that the network is down, and a rollback waits for this
OUTPUTS_VARIABLE: Final = "TEAL_PLATFORM_OUTPUTS"  # a file with the outputs as JSON, instead of asking Pulumi


class StateAway(OperatorError):
    """Pulumi's state could not be read."""

    code = "state-away"


class NoCommand(BadInput):
    """Pulumi is not on PATH. A rollback can use the kept outputs; a release checks for Pulumi before it changes anything."""


def read_platform(stack: str, root: Path, environ: Mapping[str, str]) -> Platform:
    """Read the outputs from the file in TEAL_PLATFORM_OUTPUTS, else from the stack's state.
    Raises BadInput when the platform is not built yet.

    The state is read without decrypting it (`pulumi stack export`): every other way to read outputs needs the platform's key,
    which the release role does not have. Secret outputs stay encrypted; none is needed. A copy is kept beside the laptop's files,
    so that a rollback from this machine works while the state's bucket does not answer.
    """
    given = environ.get(OUTPUTS_VARIABLE)
    where = given or f"Pulumi stack {stack}"
    try:
        outputs = json.loads(Path(given).read_text(encoding="utf-8-sig")) if given else _kept(stack, root, environ)
        return Platform.model_validate_json(json.dumps({**outputs, "document": json.dumps(outputs, sort_keys=True)}))
    except (OSError, ValueError) as error:
        missing = (
            ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise BadInput(f"These are not the outputs of a platform: {missing}", where=where,
                       next=f"teal plan {stack} && pulumi up --stack {stack}") from error  # fmt: skip


def _kept(stack: str, root: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The outputs as Pulumi exports them now, or the kept copy of the last ones when Pulumi does not answer."""
    file = root / ".teal" / "platform" / f"{stack}.json"
    try:
        found = _exported(stack, root, environ)
    except (StateAway, NoCommand):
        if not file.exists():
            raise
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return kept
    if found:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(found), encoding="utf-8")
        draft.replace(file)
    return found


def _exported(stack: str, root: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    command = shutil.which("pulumi", path=environ.get("PATH"))
    if command is None:
        raise NoCommand("The Pulumi command is not installed", where="PATH", next="teal doctor")
    try:
        ended = subprocess.run((command, "stack", "export", "--stack", stack), cwd=root, env=dict(environ), capture_output=True,  # noqa: S603
                               text=True, timeout=EXPORT_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StateAway(
            f"Pulumi did not answer within {EXPORT_SECONDS} s", where=f"stack {stack}", next="pulumi whoami"
        ) from error
    if ended.returncode != 0:
        said = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        known = cause(ended.stderr)
        next_ = known.next.format(stack=stack) if known else f"teal doctor --stack {stack}"
        raise StateAway(f"Pulumi could not read the stack: {said}", where=f"stack {stack}", next=next_)
    resources = json.loads(ended.stdout).get("deployment", {}).get("resources") or []
    return next((dict(each.get("outputs", {})) for each in resources if each.get("type") == "pulumi:pulumi:Stack"), {})
