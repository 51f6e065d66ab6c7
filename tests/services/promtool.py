"""promtool, built once from Prometheus' own Go module into the same cache folder as actionlint; nothing of it is copied here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.services.required import require

MODULE: Final = "github.com/prometheus/prometheus"
VERSION: Final = "v0.313.5"  # Prometheus 3.13.5; needs Go 1.26
BUILD_SECONDS: Final = 1_500  # a thousand packages: two and a half minutes of CPU, and machines may be busy


def promtool() -> Path:
    """The program; skips (fails in CI) where it is missing and cannot be built."""
    program, why = find_or_build()
    require("promtool", why, program is not None)
    assert program is not None
    return program


def find_or_build() -> tuple[Path | None, str]:
    """The program, or None and why there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "teal" / f"promtool-{VERSION}"
    program = cache / "promtool"
    if program.exists():
        return program, ""
    if shutil.which("go") is None:
        return None, "It is built from its source; install Go 1.26 or later."
    said = _build(program)
    return (program, "") if program.exists() else (None, f"It did not build: {said}")


def _build(program: Path) -> str:
    """Within the module itself, because `go install` refuses one that replaces another; without discovery of clouds, half of its code."""
    program.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = _go(["mod", "download", "-json", f"{MODULE}@{VERSION}"], program.parent)
        draft = program.with_suffix(".draft")
        _go(["build", "-tags", "remove_all_sd", "-o", str(draft), "./cmd/promtool"], Path(json.loads(found)["Dir"]))
        draft.replace(program)
    except (subprocess.SubprocessError, ValueError, KeyError, OSError) as error:
        return str(getattr(error, "stderr", None) or error)[-500:]
    return ""


def _go(arguments: list[str], folder: Path) -> str:
    environment = {
        **os.environ,
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly",
    }  # its workspace names folders that the module leaves out
    ended = subprocess.run(
        ["go", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=True
    )
    return ended.stdout
