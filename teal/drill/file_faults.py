"""Faults of stored files: the embedding model, the folder of snapshots.
`teal status` must report each before the runbook is followed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from teal.drill import disk
from teal.drill.faults import NAMED_SECONDS, names
from teal.drill.scene import Scene, Whole, wait_until
from teal.drill.stack import CommandFailed, DrillStack
from teal.laptop import admin, fetch

SNAPSHOTS_BYTES = 16_000_000  # a drill's snapshot has 0.3 MB, and testing it takes three times that


@contextmanager
def full_snapshots(scene: Scene) -> Iterator[Whole]:
    """The folder of snapshots is a disk of its own, and an old snapshot takes all of it."""
    stack, folder = scene.stack, scene.stack.layout.backups
    scene.variables["ELSEWHERE"] = str(scene.folder / "elsewhere")
    with disk.small_disk(folder, SNAPSHOTS_BYTES):
        old = folder / str(stack.must("snapshot")[-1]["id"])
        disk.fill_disk(old / "more.age")
        scene.strike()
        wait_until(lambda: names(stack, "snapshots"), what="`teal status` to name the folder", seconds=NAMED_SECONDS)
        yield lambda: any(path.parent != old for path in folder.glob("*/manifest.json")) and stack.healthy()


@contextmanager
def damaged_model(scene: Scene) -> Iterator[Whole]:
    """The model's file is truncated, and the processes that open it are restarted: they then search by words alone."""
    stack = scene.stack
    name = model_of(stack)
    if name is None:
        raise CommandFailed("The stack has no local model that could be damaged", where=str(stack.home), next="teal status")
    file, kept = fetch.model_folder(stack.layout, name) / "model.onnx", scene.folder / "model.onnx"
    shutil.copy2(file, kept)
    color = stack.record().active
    try:
        scene.strike()
        os.truncate(file, kept.stat().st_size // 3)
        for part in (f"{color}-worker", f"{color}-app-0"):
            stack.kill(part)
        wait_until(lambda: names(stack, "model"), what="`teal status` to name the model", seconds=NAMED_SECONDS)
        yield lambda: fetch.has_model(stack.layout, name) and stack.healthy()
    finally:
        if not fetch.has_model(stack.layout, name):
            shutil.copy2(kept, file)


def model_of(stack: DrillStack) -> str | None:
    """The local model that the stack uses, if its files are complete; None otherwise."""
    name = fetch.wanted_model(admin.service_environment(stack.layout))
    return name if name and fetch.has_model(stack.layout, name) else None
