"""`teal keys create | list | revoke`: who may use the HTTP API."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from teal import admin, present
from teal.client import require_collection
from teal.stack.layout import locate

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


class Role(StrEnum):
    reader = "reader"
    writer = "writer"
    admin = "admin"


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Keys of the HTTP API.")
    for name, command in (("create", keys_create), ("list", keys_list), ("revoke", keys_revoke)):
        group.command(name)(command)
    app.add_typer(group, name="keys")


def keys_create(
    role: Annotated[Role, typer.Option(help="reader asks, writer also adds documents, admin everything.")],
    name: Annotated[str | None, typer.Option(help="Whose key it is.")] = None,
    collection: Annotated[list[str] | None, typer.Option(help="Only this collection; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once and kept nowhere in clear."""
    arguments = ["keys", "create", "--role", role.value, *(("--name", name) if name else ())]
    for each in collection or ():
        arguments += ["--collection", require_collection(each)]
    for row in admin.run_on(locate(os.environ), tuple(arguments)):
        if as_json:
            print(json.dumps(row, default=str), flush=True)
        else:
            print(row.get("key", row))


def keys_list(as_json: Json = False) -> None:
    """All keys, without their secrets."""
    rows = admin.run_on(locate(os.environ), ("keys", "list"))
    if as_json:
        for row in rows:
            print(json.dumps(row, default=str), flush=True)
    else:
        Console(highlight=False, soft_wrap=True).print(present.keys(rows))


def keys_revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """End a key at once."""
    for row in admin.run_on(locate(os.environ), ("keys", "revoke", key_id)):
        if as_json:
            print(json.dumps(row, default=str), flush=True)
        else:
            print(f"revoked {key_id}")
