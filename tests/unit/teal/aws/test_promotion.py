"""What a stack's file says about the stack before, and how GitHub is asked for CI's run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from teal.aws.promotion import newest_ci_run, promotion_of
from teal.aws.stack_file import StackFile
from teal.errors import BadInput, OperatorError
from teal.ports.target import CiRun

COMMIT = "c0ffee00" * 5
SECTION = "  teal:promotion:\n    promoted_from: {stack: staging}\n    ci_workflow: ci.yml\n"
GITHUB = "  teal:github:\n    repository: o/r\n    environment: prod\n"


class Bucket:
    """An S3 client whose buckets are empty; it notes what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def of(self, region: str) -> Any:
        class Client:
            def get_object(client, Bucket: str, Key: str) -> Any:
                from botocore.exceptions import ClientError

                self.asked.append((region, Bucket, Key))
                raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")

        return Client()


def stack_file(folder: Path, section: str) -> StackFile:
    path = folder / "Pulumi.prod.yaml"
    path.write_text(f"config:\n  aws:region: eu-central-1\n{section}", encoding="utf-8")
    return StackFile(path, "prod", "eu-central-1", None, None)


def github(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    return httpx.MockTransport(answer)


def runs(*found: dict[str, Any]) -> httpx.MockTransport:
    return github(lambda _request: httpx.Response(200, json={"workflow_runs": list(found)}))


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        ("{stack: staging}", ("eu-central-1", "teal-staging-releases-111122223333")),
        (
            "{stack: staging, account_id: '444455556666', region: us-east-1}",
            ("us-east-1", "teal-staging-releases-444455556666"),
        ),
    ],
)
def test_the_record_of_the_stack_before_is_where_that_stack_keeps_it(tmp_path: Path, before: str, asked: tuple[str, str]) -> None:
    bucket = Bucket()
    file = stack_file(tmp_path, f"  teal:promotion:\n    promoted_from: {before}\n")
    found = promotion_of(file, "111122223333", bucket.of, {})
    assert found is not None
    assert found.newest_ci_run is None
    found.store.read()
    assert bucket.asked == [(*asked, "record.json")]


def test_a_stack_whose_images_come_from_nowhere_asks_nothing(tmp_path: Path) -> None:
    assert promotion_of(stack_file(tmp_path, ""), "111122223333", Bucket().of, {}) is None


def test_ci_is_asked_for_the_runs_of_that_workflow_that_a_push_of_the_commit_to_main_began(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"workflow_runs": [{"conclusion": "success", "html_url": "https://g/7"}]})

    environ = {"GITHUB_API_URL": "https://github.example.com/api/v3", "GITHUB_TOKEN": "t"}
    found = promotion_of(stack_file(tmp_path, SECTION + GITHUB), "1", Bucket().of, environ, github(answer))
    assert found is not None
    assert found.newest_ci_run is not None
    assert found.newest_ci_run(COMMIT) == CiRun("success", "https://g/7")
    (request,) = asked
    assert request.url.copy_with(query=None) == "https://github.example.com/api/v3/repos/o/r/actions/workflows/ci.yml/runs"
    assert dict(request.url.params) == {"head_sha": COMMIT, "branch": "main", "event": "push", "per_page": "1"}
    assert request.headers["Authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        (runs(), None),
        (runs({"conclusion": None, "html_url": "https://g/7"}), CiRun("", "https://g/7")),
        (runs({"conclusion": "failure", "html_url": "https://g/7"}), CiRun("failure", "https://g/7")),
    ],
    ids=["never ran", "runs", "failed"],
)
def test_a_run_that_is_not_there_or_not_over_is_not_taken_for_one_that_passed(
    transport: httpx.BaseTransport, expected: CiRun | None
) -> None:
    assert newest_ci_run("o/r", "ci.yml", COMMIT, {}, transport) == expected


@pytest.mark.parametrize("status", [401, 403, 404])
def test_github_s_refusal_is_said_with_what_gives_the_right(status: int) -> None:
    with pytest.raises(BadInput) as raised:
        newest_ci_run("o/r", "ci.yml", COMMIT, {}, github(lambda _request: httpx.Response(status)))
    assert f"GitHub does not show the runs of ci.yml in o/r: {status}" in raised.value.what
    assert "export GITHUB_TOKEN=" in raised.value.next


def broken(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route")


@pytest.mark.parametrize(
    "answer",
    [lambda _request: httpx.Response(503), lambda _request: httpx.Response(200, json={"runs": 1}), broken],
    ids=["503", "another shape", "no answer"],
)
def test_an_unknown_end_of_ci_is_no_pass(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    with pytest.raises(OperatorError) as raised:
        newest_ci_run("o/r", "ci.yml", COMMIT, {}, github(answer))
    assert raised.value.what.startswith("Whether CI passed is not known")
    assert raised.value.next == "teal release again"


def test_ci_without_a_repository_is_refused_with_the_file_to_correct(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        promotion_of(stack_file(tmp_path, SECTION), "1", Bucket().of, {})
    assert raised.value.next == "correct Pulumi.prod.yaml"


def test_a_wrong_section_is_refused_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        promotion_of(stack_file(tmp_path, "  teal:promotion:\n    promoted_fom: {stack: staging}\n"), "1", Bucket().of, {})
    assert "teal:promotion is refused: promoted_fom" in raised.value.what
    assert "contract/promotion.py" in raised.value.next
