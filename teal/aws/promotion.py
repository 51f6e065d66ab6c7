"""The stack before this one, whose record a release reads, and CI's runs, which GitHub is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from contract import names, stack_file
from contract.promotion import PromotionRules
from teal.aws.stack_file import StackFile
from teal.errors import BadInput, OperatorError
from teal.ports.steering import read_promotion
from teal.ports.target import CiRun, Promotion
from teal.record.s3 import S3RecordStore

API: Final = "https://api.github.com"  # unless GITHUB_API_URL names another, as it does on an Enterprise server
API_SECONDS: Final = 20.0  # a listing takes about one second


def promotion_of(
    file: StackFile,
    account: str,
    s3: Callable[[str], Any],
    environ: Mapping[str, str],
    transport: httpx.BaseTransport | None = None,
) -> Promotion | None:
    """What the stack's file says under `teal:promotion`; `s3` makes a client of a region. Raises BadInput for a wrong section."""
    rules = read_promotion(file.path)
    before = rules.promoted_from
    if before is None:
        return None
    bucket = names.release_bucket(before.stack, before.account_id or account)
    store = S3RecordStore(s3(before.region or file.region), bucket)
    return Promotion(before.stack, store, _ci(file, rules, environ, transport))


def _ci(
    file: StackFile, rules: PromotionRules, environ: Mapping[str, str], transport: httpx.BaseTransport | None
) -> Callable[[str], CiRun | None] | None:
    workflow = rules.ci_workflow
    if workflow is None:
        return None
    github: Any = stack_file.read_config(file.path).get("teal:github") or {}
    repository = github.get("repository") if isinstance(github, dict) else None
    if not isinstance(repository, str):
        raise BadInput("teal:promotion names a workflow of CI, and teal:github no repository", where=str(file.path),
                       next=f"correct {file.path.name}")  # fmt: skip

    def ask(commit: str) -> CiRun | None:
        return newest_ci_run(repository, workflow, commit, environ, transport)

    return ask


def newest_ci_run(
    repository: str, workflow: str, commit: str, environ: Mapping[str, str], transport: httpx.BaseTransport | None = None
) -> CiRun | None:
    """The newest run of the workflow that a push of the commit to main began. A run that was repeated is one run, with its last end.
    Raises BadInput when GitHub refuses, OperatorError when it does not answer: an unknown end is no pass."""
    address = f"{environ.get('GITHUB_API_URL') or API}/repos/{repository}/actions/workflows/{workflow}/runs"
    token = environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN")
    headers = {"Accept": "application/vnd.github+json", **({"Authorization": f"Bearer {token}"} if token else {})}
    wanted = {"head_sha": commit, "branch": "main", "event": "push", "per_page": "1"}
    try:
        with httpx.Client(timeout=API_SECONDS, transport=transport) as client:
            answer = client.get(address, params=wanted, headers=headers)
    except httpx.HTTPError as error:
        raise _unknown(f"GitHub did not answer ({type(error).__name__})", address) from error
    if answer.status_code in (401, 403, 404):
        raise BadInput(
            f"GitHub does not show the runs of {workflow} in {repository}: {answer.status_code}",
            where=address,
            next="export GITHUB_TOKEN=$(gh auth token), of someone who may read the repository's actions",
        )
    if answer.status_code != 200:
        raise _unknown(f"GitHub answered {answer.status_code}", address)
    try:
        runs = answer.json()["workflow_runs"]
        return CiRun(str(runs[0]["conclusion"] or ""), str(runs[0]["html_url"])) if runs else None
    except (ValueError, KeyError, TypeError) as error:
        raise _unknown("GitHub's answer is no list of runs", address) from error


def _unknown(what: str, address: str) -> OperatorError:
    return OperatorError(f"Whether CI passed is not known: {what}", where=address, next="teal release again")
