"""What a command line would be refused with by the real thing, without running it: `teal`'s own parser, AWS's API as botocore has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel
from typer._click.exceptions import ClickException  # typer carries its own click and exports no name for this
from typer.core import TyperGroup
from typer.main import get_command

from teal.cli import app

# Commands of the AWS CLI that are no operations of a service.
_OF_THE_CLI = {("s3", "cp"), ("eks", "update-kubeconfig")}
_GLOBAL = {"query", "output", "region", "max-items"}
_FILE_BEHIND = {("s3api", "get-object")}  # takes a file's name as its last word
_SERVICES = {"s3api": "s3"}
# AWS's CLI has it where the address of another region is signed beforehand (botocore.handlers, inject_presigned_url_rds).
_ADDED = {("rds", "copy-db-snapshot"): {"source-region"}}


def teal_refuses(words: Sequence[str]) -> str | None:
    """Why `teal WORDS...` would be refused before it began; None when it parses."""
    command, rest, name, context = get_command(app), list(words), "teal", None
    try:
        while True:
            context = command.make_context(name, rest, parent=context)
            if not isinstance(command, TyperGroup):
                return None
            rest = [*context._protected_args, *context.args]
            found, command, rest = command.resolve_command(context, rest)  # type: ignore[assignment]
            name = found or ""
    except ClickException as error:
        return error.format_message()


def aws_refuses(words: Sequence[str]) -> str | None:
    """Why `aws WORDS...` is no call of AWS's API; None when it is one with all it needs."""
    service, operation = words[:2]
    if (service, operation) in _OF_THE_CLI:
        return None
    model = _operations(_SERVICES.get(service, service)).get(operation)
    if model is None:
        return f"{service} has no operation {operation}"
    members = dict(model.input_shape.members) if model.input_shape else {}
    known = {xform_name(member, "-"): shape for member, shape in members.items()}
    given = [word[2:].partition("=")[0] for word in words[2:] if word.startswith("--")]
    added = _ADDED.get((service, operation), set())
    wrong = [name for name in given if name not in known.keys() | _GLOBAL | added and name.removeprefix("no-") not in known]
    if wrong:
        return f"{service} {operation} has no --{', --'.join(wrong)}"
    required = {xform_name(member, "-") for member in (model.input_shape.required_members if model.input_shape else ())}
    if missing := required - set(given):
        return f"{service} {operation} needs --{', --'.join(sorted(missing))}"
    loose = [word for before, word in pairwise(words[1:]) if not word.startswith("--") and not _takes_a_value(before, known)]
    if loose and not ((service, operation) in _FILE_BEHIND and len(loose) == 1):
        return f"{service} {operation} takes no {loose[0]!r} here"
    return None


def _takes_a_value(word: str, known: dict[str, object]) -> bool:
    """Whether the word behind this one is its value. Switches of true and false take none; every other option is given one word here."""
    if not word.startswith("--"):
        return False
    shape = known.get(word[2:])
    return getattr(shape, "type_name", "string") != "boolean"


@cache
def _operations(service: str) -> dict[str, OperationModel]:
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return {}
    model = session.get_service_model(service)
    return {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}
