"""`teal keys create | rotate | list | quota | revoke`: who may use the HTTP API, for how long, and how much."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from teal import present
from teal.client.service import require_collection
from teal.laptop import admin
from teal.laptop.address import kept_admin_key
from teal.laptop.files import write_private
from teal.laptop.layout import Layout, locate_layout
from teal.terminal.writer import say, say_json, terminal_console

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="From `teal keys list`.")]
Days = Annotated[int | None, typer.Option(min=1, help="The key ends by itself after so many days.")]
Requests = Annotated[int | None, typer.Option(min=1, help="Most requests in one UTC day; default: no limit.")]
Questions = Annotated[int | None, typer.Option(min=1, help="Most questions in one UTC day; default: no limit.")]


class KeyRole(StrEnum):
    reader = "reader"
    writer = "writer"
    admin = "admin"


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Keys of the HTTP API.")
    group.command("create")(keys_create)
    group.command("rotate")(keys_rotate)
    group.command("list")(keys_list)
    group.command("quota")(keys_quota)
    group.command("revoke")(keys_revoke)
    app.add_typer(group, name="keys")


def keys_create(
    role: Annotated[KeyRole, typer.Option(help="reader asks, writer also adds documents, admin everything.")],
    name: Annotated[str | None, typer.Option(help="Whose key it is.")] = None,
    collection: Annotated[list[str] | None, typer.Option(help="Only this collection; may be repeated.")] = None,
    expires_in_days: Days = None,
    requests_per_day: Requests = None,
    questions_per_day: Questions = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once and kept nowhere in clear."""
    arguments = ["keys", "create", "--role", role.value, *_given("name", name), *_given("expires-in-days", expires_in_days)]
    arguments += _quota(requests_per_day, questions_per_day)
    for each in collection or ():
        arguments += ["--collection", require_collection(each)]
    for row in admin.run_on(locate_layout(os.environ), tuple(arguments)):
        if as_json:
            say_json(row)
        else:
            say(row.get("key", row))


def keys_rotate(
    key_id: KeyId,
    grace_hours: Annotated[int, typer.Option(min=1, help="How long the old key goes on.")] = 24,
    expires_in_days: Days = None,
    as_json: Json = False,
) -> None:
    """Make a key with the same rights, shown once. The old one goes on for the grace and then ends by itself.

    The stack's own key is replaced in its file too.
    """
    layout = locate_layout(os.environ)
    arguments = ("keys", "rotate", key_id, "--grace-hours", str(grace_hours), *_given("expires-in-days", expires_in_days))
    for row in admin.run_on(layout, arguments):
        own = keep_if_own(layout, key_id, str(row["key"]))
        if as_json:
            say_json(row)
        else:
            say(row["key"])
            kept = f"; {layout.admin_key} has the new one" if own else ""
            say(f"{key_id} ends at {str(row['old_ends_at'])[:19]} UTC: use the new key until then{kept}", error=True)


def keys_list(as_json: Json = False) -> None:
    """All keys, without their secrets."""
    rows = admin.run_on(locate_layout(os.environ), ("keys", "list"))
    if as_json:
        for row in rows:
            say_json(row)
    else:
        terminal_console(soft_wrap=True).print(present.keys(rows))


def keys_quota(
    key_id: KeyId, requests_per_day: Requests = None, questions_per_day: Questions = None, as_json: Json = False
) -> None:
    """Give a key another quota, in force within seconds. A limit that is not named is no limit any more."""
    arguments = ("keys", "quota", key_id, *_quota(requests_per_day, questions_per_day))
    for row in admin.run_on(locate_layout(os.environ), arguments):
        if as_json:
            say_json(row)
        else:
            say(f"{key_id}: {present.quota(row)}")


def keys_revoke(key_id: KeyId, as_json: Json = False) -> None:
    """End a key at once."""
    for row in admin.run_on(locate_layout(os.environ), ("keys", "revoke", key_id)):
        if as_json:
            say_json(row)
        else:
            say(f"revoked {key_id}")


def keep_if_own(layout: Layout, old_id: str, key: str) -> bool:
    """Replace the old key by the new one in the stack's own key file; returns whether the old one was there."""
    present_key = kept_admin_key(layout)
    if present_key is None or not present_key.startswith(f"teal_{old_id}_"):
        return False
    write_private(layout.admin_key, key + "\n")
    return True


def _given(option: str, value: object) -> tuple[str, ...]:
    return () if value is None else (f"--{option}", str(value))


def _quota(requests: int | None, questions: int | None) -> tuple[str, ...]:
    return (*_given("requests-per-day", requests), *_given("questions-per-day", questions))
