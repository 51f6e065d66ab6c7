"""The scanners, each as a function from the repository to an outcome. Where one could not look, it says so instead of finding nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.scanners.outcome import Finding, Outcome, Severity

ROOT: Final = Path(__file__).parents[2]
BIN: Final = Path(sys.executable).parent
_LONGEST_SECONDS: Final = 300
_PYTHON: Final = ("app", "teal", "infra", "contract", "loadtests")  # what ships, and what drives it; tests only ever run here
# A release that has had public advisories for years: an auditor that does not find them has no list of them.
_KNOWN_BAD: Final = "jinja2==2.4.1"
_SEVERITY: Final[Mapping[str, Severity]] = {
    "error": "high", "warning": "medium", "info": "low", "style": "low",  # hadolint
    "Unknown": "low", "Informational": "low", "Low": "low", "Medium": "medium", "High": "high",  # zizmor
    "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "UNDEFINED": "medium",  # bandit
}  # fmt: skip


class CouldNotRun(Exception):
    """Why."""


def bandit(root: Path = ROOT) -> tuple[Finding, ...]:
    """The Python of `_PYTHON`."""
    report = _json(_run("bandit", "--quiet", "--recursive", *_PYTHON, "--format", "json", codes=(0, 1), root=root))
    if report["errors"]:
        raise CouldNotRun(f"it could not read {report['errors'][0]['filename']}")
    return tuple(
        Finding(row["test_id"], f"{row['filename']}:{row['line_number']}", _SEVERITY[row["issue_severity"]], row["issue_text"])
        for row in report["results"]
    )


def zizmor(root: Path = ROOT) -> tuple[Finding, ...]:
    """Workflows, without asking GitHub about the actions in them."""
    rows = _json(_run("zizmor", "--offline", "--no-progress", "--no-exit-codes", "--format", "json", ".github", root=root))
    return tuple(
        Finding(row["ident"], _zizmor_place(row), _SEVERITY[row["determinations"]["severity"]], row["desc"]) for row in rows
    )


def _zizmor_place(row: Mapping[str, Any]) -> str:
    place = row["locations"][0]
    key = place["symbolic"]["key"]
    return f"{next(iter(key.values()))['verbatim_path']}:{place['concrete']['location']['start_point']['row'] + 1}"


def actionlint(root: Path = ROOT) -> tuple[Finding, ...]:
    """Workflows again: syntax, expressions, types. It has no severities; each is medium."""
    files = [str(path) for path in sorted((root / ".github" / "workflows").glob("*.yml"))]
    done = _run(str(ROOT / ".ci" / "actionlint"), "-format", "{{json .}}", *files, codes=(0, 1), environment={"CI": "true"})
    if "could not check" in done.stderr:
        raise CouldNotRun(done.stderr.strip())
    rows = json.loads(done.stdout.splitlines()[0])
    return tuple(Finding(row["kind"], f"{row['filepath']}:{row['line']}", "medium", row["message"]) for row in rows)


def hadolint(root: Path = ROOT) -> tuple[Finding, ...]:
    """The image's Dockerfile."""
    rows = _json(_run("hadolint", "--no-fail", "--format", "json", "app/Dockerfile", root=root))
    return tuple(Finding(row["code"], f"{row['file']}:{row['line']}", _SEVERITY[row["level"]], row["message"]) for row in rows)


def detect_secrets(root: Path = ROOT) -> tuple[Finding, ...]:
    """What looks like a secret in a committed file and is neither marked nor in the baseline."""
    files = subprocess.run(("git", "ls-files"), cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    done = _run("detect-secrets-hook", "--baseline", ".secrets.baseline", "--json", *files, codes=(0, 1), root=root)
    found = json.loads(done.stdout)["results"] if done.stdout.strip() else {}
    return tuple(
        Finding(row["type"], f"{file}:{row['line_number']}", "high", "looks like a secret")
        for file, rows in found.items()
        for row in rows
    )


def schemathesis() -> tuple[Finding, ...]:
    """Requests made from the API's own schema, sent to a real service: tests/parts/app/test_schema.py."""
    test = "tests/parts/app/test_schema.py"
    done = _run("python", "-m", "pytest", "-q", "-rs", test, codes=(0, 1), environment={"CI": ""})
    if "skipped" in done.stdout:
        raise CouldNotRun(next(line for line in done.stdout.splitlines() if "SKIPPED" in line))
    if done.returncode == 0:
        return ()
    last = " ".join(done.stdout.strip().splitlines()[-3:])
    return (Finding("server-error", f"{test}:1", "high", last),)


def sslyze() -> tuple[Finding, ...]:
    """The load balancer's TLS."""
    from tests.scanners import tls

    try:
        return tls.scan()
    except RuntimeError as error:
        raise CouldNotRun(str(error)) from error


def pip_audit() -> tuple[Finding, ...]:
    """Known vulnerabilities of every locked package. It says "none" when it cannot reach its list, so it is first asked about one
    that is in it."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        known.write_text(f"{_KNOWN_BAD}\n", encoding="utf-8")
        if not any(row.get("vulns") for row in audit(str(known))):
            raise CouldNotRun(
                f"its list of vulnerabilities cannot be reached from here: it finds nothing wrong with {_KNOWN_BAD}"
            )
    rows = audit("requirements-dev.lock", "--require-hashes")
    skipped = [row["name"] for row in rows if "skip_reason" in row]
    if skipped:
        raise CouldNotRun(f"it knows nothing about {', '.join(skipped[:5])}")
    return tuple(
        Finding(advisory["id"], f"requirements-dev.lock:{row['name']}", "high", f"{row['name']} {row['version']}")
        for row in rows
        for advisory in row["vulns"]
    )


def audit(requirements: str, *more: str) -> list[dict[str, Any]]:
    common = ("--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off")
    rows: list[dict[str, Any]] = _json(_run("pip-audit", "--requirement", requirements, *common, *more, codes=(0, 1)))[
        "dependencies"
    ]
    return rows


def image() -> tuple[Finding, ...]:
    """Packages inside the image."""
    raise CouldNotRun(
        "grype's list of vulnerabilities is in no package registry; the job `image` of .github/workflows/ci.yml scans it"
    )


SCANNERS: Final[Mapping[str, Callable[[], tuple[Finding, ...]]]] = {
    "bandit": bandit,
    "zizmor": zizmor,
    "actionlint": actionlint,
    "hadolint": hadolint,
    "detect-secrets": detect_secrets,
    "schemathesis": schemathesis,
    "sslyze": sslyze,
    "pip-audit": pip_audit,
    "image": image,
}


def outcome(name: str, scan: Callable[[], tuple[Finding, ...]] | None = None) -> Outcome:
    """What came of one scanner; a scanner that breaks has not run."""
    try:
        return Outcome(name, "ran", findings=(scan or SCANNERS[name])())
    except CouldNotRun as error:
        return Outcome(name, "could not run", why=str(error))
    except Exception as error:  # noqa: BLE001 - an unreadable report is no clean one
        return Outcome(name, "could not run", why=f"{type(error).__name__}: {error}")


def _run(
    program: str,
    *arguments: str,
    codes: tuple[int, ...] = (0,),
    environment: Mapping[str, str] | None = None,
    root: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    own = BIN / program
    command = (str(own) if own.exists() else program, *arguments)
    try:
        done = subprocess.run(
            command, cwd=root, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=False
        )  # fmt: skip
    except FileNotFoundError as error:
        raise CouldNotRun(f"{program} is not installed: make .venv/.installed-dev") from error
    except subprocess.TimeoutExpired as error:
        raise CouldNotRun(f"it did not end within {_LONGEST_SECONDS} s") from error
    if done.returncode not in codes:
        raise CouldNotRun(f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done


def _json(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)
