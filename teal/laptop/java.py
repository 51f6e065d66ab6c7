"""The JDK that Elasticsearch runs on: found on this machine, never fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teal.errors import BadInput

LEAST_JAVA = 17
JAVA_HINT = "install Java 17 or newer (Debian, Ubuntu: `apt install openjdk-17-jre-headless`; macOS: `brew install openjdk@17`), then `teal up --search elasticsearch`"


@dataclass(frozen=True, slots=True)
class Java:
    home: Path
    version: int


def find_java(environ: Mapping[str, str]) -> Java:
    """JAVA_HOME, else `java` on PATH. Raises BadInput with the install command when there is none new enough."""
    given = environ.get("JAVA_HOME")
    program = str(Path(given) / "bin" / "java") if given else shutil.which("java", path=environ.get("PATH"))
    if program is None or not Path(program).is_file():
        raise BadInput(
            "Elasticsearch needs a JDK and none was found",
            where=f"JAVA_HOME={given}" if given else "java on PATH",
            next=JAVA_HINT,
        )
    try:
        said = subprocess.run((program, "-version"), capture_output=True, text=True, timeout=30, check=False).stderr  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(f"Java does not run: {error}", where=program, next=JAVA_HINT) from error
    version = java_version(said)
    if version < LEAST_JAVA:
        raise BadInput(
            f"Elasticsearch needs Java {LEAST_JAVA} or newer, this is {version or 'unknown'}", where=program, next=JAVA_HINT
        )
    return Java(Path(program).resolve().parents[1], version)


def java_version(text: str) -> int:
    """The feature release in the output of `java -version`; 0 when there is none. (1.8 is 8.)"""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else 0
