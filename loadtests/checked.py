"""Types of options that validate while they are parsed, so that a wrong number,
JSON or file is reported before anything is sent."""

from __future__ import annotations

import argparse
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loadtests.measured import LoadTestResult


def positive(text: str) -> float:
    """A number above 0."""
    found = float(text)
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"it must be above 0, and is {text}")
    return found


def not_negative(text: str) -> float:
    """A number of 0 or more."""
    return 0.0 if float(text) == 0 else positive(text)


def whole(text: str) -> int:
    """A whole number of 0 or more."""
    found = int(text)
    if found < 0:
        raise argparse.ArgumentTypeError(f"it must be 0 or more, and is {text}")
    return found


def json_object(text: str) -> str:
    """The text unchanged, if it is a JSON object."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError('it is no JSON object, such as {"name": "value"}')
    return text


def file_of(read: Callable[[Path], Any]) -> Callable[[str], str]:
    """A path that `read` can read, or nothing."""

    def path(text: str) -> str:
        try:
            if text:
                read(Path(text))
        except (OSError, ValueError) as error:
            said = f"{text}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
            raise argparse.ArgumentTypeError(said) from error
        return text

    return path


def certificates(path: Path) -> None:
    """Check a file of certificates. Raises OSError when it contains none."""
    ssl.create_default_context(cafile=str(path))


def read_result(path: Path) -> LoadTestResult:
    """Read a result.json. Raises ValueError for any other file."""
    try:
        return LoadTestResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} is no result of a load test: {error.errors()[0]['msg']}") from error
