"""`teal cluster up | status | down`: a real Kubernetes on this machine, to rehearse on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from teal import errors, present
from teal.cluster.down import down
from teal.cluster.place import READY, locate
from teal.cluster.status import status
from teal.cluster.up import Wanted, up
from teal.events import Event
from teal.terminal.options import Json
from teal.terminal.writer import say, say_json, terminal_console

Nodes = Annotated[int, typer.Option(min=1, max=2, help="2: another one joined to it, to drain. Both share this machine.")]
Metrics = Annotated[
    bool, typer.Option("--metrics", help="With metrics-server, which autoscalers and `kubectl top` ask. Built once, in minutes.")
]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="A real Kubernetes on this machine, to rehearse on: Linux, root, a checkout.")
    group.command("up")(cluster_up)
    group.command("status")(cluster_status)
    group.command("down")(cluster_down)
    app.add_typer(group, name="cluster")


def cluster_up(nodes: Nodes = 1, metrics: Metrics = False, as_json: Json = False) -> None:
    """Start it in the background and wait until its nodes are ready. The first time its programs are built, which takes minutes."""
    try:
        for event in up(locate(os.environ), Wanted(nodes, metrics)):
            _show(event, as_json)
    except KeyboardInterrupt:
        raise errors.OperatorError(
            "Interrupted; the cluster goes on starting in the background",
            where="teal cluster up",
            next="sudo teal cluster status, or sudo teal cluster down",
        ) from None


def cluster_status(as_json: Json = False) -> None:
    """What of it works: the API server, the nodes, names, pods that are not ready. Exit 1 when something is wrong, or nothing runs."""
    found = status(locate(os.environ))
    if as_json:
        say_json(found.fields())
    else:
        terminal_console(soft_wrap=True).print(present.check_table("", found.rows))
        _say_how(found.ready)
    if not found.healthy:
        raise typer.Exit(errors.FAILED)


def cluster_down(as_json: Json = False) -> None:
    """End it, and remove everything of it. Exit 4 when something could not be removed."""
    for event in down(locate(os.environ)):
        _show(event, as_json)


def _show(event: Event, as_json: bool) -> None:
    if as_json:
        say_json(event.fields())
        return
    terminal_console(soft_wrap=True).print(present.step_line(event))
    if event.step == READY:
        _say_how(event.data)


def _say_how(ready: Mapping[str, Any]) -> None:
    if ready:
        say(f"   kubectl: {ready['kubectl']} get nodes\n   a shell: {ready['shell']}\n   logs:    {ready['folder']}")
