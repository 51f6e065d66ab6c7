"""Command-line options that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output, one object a line.")]
Stack = Annotated[str | None, typer.Option("--stack", help="dev, staging or prod on AWS; default: this laptop.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
