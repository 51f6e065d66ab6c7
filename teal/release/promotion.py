"""Refuses an image that did not pass the stack before, or whose commit did not pass CI."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final

from teal.errors import BadInput
from teal.events import Event
from teal.ports.target import CiRun, Image, Promotion
from teal.record.releases import PastRelease, past_releases
from teal.record.source import ReleaseSource, read_source

PASSED: Final = "success"  # GitHub's word for a run that passed
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")  # the workflow tags an image with its commit


def require_promoted(promotion: Promotion | None, image: Image) -> Generator[Event, None, ReleaseSource | None]:
    """Raise BadInput unless the image's newest release in the stack before ended Healthy, and CI passed on its commit.
    Returns what the image was made from, as the stack before knows it. Nothing is asked where the stack's file has no section
    `teal:promotion`."""
    if promotion is None:
        return None
    passed = _passed_release(promotion, digest_of(image.id))
    yield Event("promotion", "ok", f"this digest was released in {promotion.stack} as {passed.id}, which ended Healthy")
    source = read_source(promotion.store, passed.id)
    if promotion.newest_ci_run is not None:
        commit = commit_of(image) or (source.commit if source is not None and not source.dirty else "")
        run = _passed_run(promotion, image, commit, promotion.newest_ci_run(commit) if commit else None)
        yield Event("promotion", "ok", f"CI passed on commit {commit[:12]}: {run.url}")
    return source


def tagged_source(image: Image) -> ReleaseSource | None:
    """What the image's tag says of its source: its commit; None when the tag names none."""
    commit = commit_of(image)
    return ReleaseSource(commit=commit) if commit else None


def digest_of(image: str) -> str:
    """`sha256:...` without the repository, which is another one in each stack."""
    return image.rpartition("@")[2]


def commit_of(image: Image) -> str:
    """The commit that the image was built from; empty when its tag names none."""
    return image.label if _COMMIT.fullmatch(image.label) else ""


def _passed_release(promotion: Promotion, digest: str) -> PastRelease:
    """The newest release of the digest there: one that was undone later counts, an older success does not make up for it."""
    stack = promotion.stack
    _, past = past_releases(promotion.store)
    newest = next((one for one in past if one.plan is not None and digest_of(one.plan.state.image) == digest), None)
    if newest is None:
        raise _refused(
            f"{digest[:19]} is none of the last releases in {stack}", stack, f"teal release --stack {stack} --image {digest}"
        )
    if newest.underway:
        raise _refused(f"{digest[:19]} is still being released in {stack}, as {newest.id}", stack, f"teal watch --stack {stack}")
    if newest.outcome is None:
        raise _refused(f"How {newest.id}, the release of {digest[:19]} in {stack}, ended cannot be read", stack,
                       f"teal release --stack {stack} --image {digest}")  # fmt: skip
    if newest.outcome.phase != "Healthy":
        raise _refused(f"{digest[:19]} was undone in {stack}, as {newest.id}: {newest.outcome.reason}", stack,
                       f"teal history --stack {stack}")  # fmt: skip
    return newest


def _passed_run(promotion: Promotion, image: Image, commit: str, run: CiRun | None) -> CiRun:
    if not commit:
        raise BadInput(
            f"Nothing names the commit of {image.label}, so nothing says that CI passed on it",
            where=image.id,
            next=f"release an image that the workflow release built in {promotion.stack}: its tag is the commit",
        )
    if run is None:
        raise BadInput(
            f"CI never ran on commit {commit[:12]} as main had it", where=image.id, next=f"gh run list --commit {commit}"
        )
    if not run.conclusion:
        raise BadInput(f"CI has not ended on commit {commit[:12]}", where=run.url, next="teal release again, when it has passed")
    if run.conclusion != PASSED:
        raise BadInput(
            f"CI did not pass on commit {commit[:12]}: {run.conclusion}", where=run.url, next=f"gh run list --commit {commit}"
        )
    return run


def _refused(what: str, stack: str, next: str) -> BadInput:
    return BadInput(what, where=f"the release record of {stack}", next=next)
