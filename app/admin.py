"""Every operation on the data: `python -m app.admin COMMAND`. One JSON object per line; errors as {"error": {...}} and exit 1, bad input 2.

The commands are in `app/commands/`; here they are only read and run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from app.commands.registry import GROUPS, run
from app.errors import PROBLEMS, InvalidRequest, NotFound, TealError


class _Parser(argparse.ArgumentParser):
    """Reports bad input in the same form as every other error."""

    def error(self, message: str) -> NoReturn:
        _fail("invalid-request", message, f"See `{self.prog} --help`.", exit_code=2)


def parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m app.admin", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_commands in GROUPS:
        add_commands(commands)
    return parser


def _fail(code: str, detail: str, action: str, *, exit_code: int) -> NoReturn:
    print(json.dumps({"error": {"code": code, "detail": detail, "action": action}}), flush=True)
    sys.exit(exit_code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of `python -m app.admin`."""
    options = parser().parse_args(arguments)
    from pydantic import ValidationError

    try:
        from app.settings import settings

        for line in run(settings(), options):
            print(
                json.dumps(line, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value)),
                flush=True,
            )
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        _fail(
            "invalid-request",
            f"The configuration is wrong: {wrong}",
            "Correct the environment; docs/configuration.md lists it.",
            exit_code=2,
        )
    except (InvalidRequest, NotFound) as error:
        _fail(error.code, error.detail, error.action, exit_code=2)
    except TealError as error:
        _fail(error.code, error.detail, error.action, exit_code=1)
    except KeyboardInterrupt:
        _fail("internal", "Interrupted.", "Run it again: every command may be repeated.", exit_code=1)
    except Exception as error:  # noqa: BLE001 - a command never shows a stack trace
        _fail("internal", f"{type(error).__name__}: {error}", PROBLEMS["internal"].action, exit_code=1)


if __name__ == "__main__":
    main()
