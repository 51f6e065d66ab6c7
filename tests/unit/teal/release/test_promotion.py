"""One digest goes from stack to stack: what a later stack refuses, in words with a next command, before anything has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from teal import cli, errors
from teal.errors import BadInput
from teal.ports.target import CiRun, Image, Promotion
from teal.record.source import read_source
from teal.release import commands
from teal.release.return_to import rollback_to
from teal.release.runner import ReleaseFailed, ReleaseRequest, plan_steps, release
from tests.unit.teal.release.ports import Behaviour, Memory, World

COMMIT = "c0ffee00" * 5
DIGEST = f"sha256:{'5' * 64}"
PASSED = CiRun("success", "https://ci.example.com/runs/7")


def stack(name: str, *, label: str = COMMIT, how: Behaviour | None = None) -> tuple[World, str]:
    """A stack with an active color, and the image as its own repository names it."""
    world = World()
    world.begin()
    id = world.put_image(f"registry.example.com/teal-{name}@{DIGEST}", how)
    world.images[id] = Image(id, label, "0001", "0001")
    return world, id


def after(world: World, ci: CiRun | None = PASSED, **changes: Any) -> dict[str, Any]:
    """The promotion from that stack, as a change of another stack's target."""
    promotion = Promotion(**{"stack": "staging", "store": Memory(world), "newest_ci_run": lambda _commit: ci, **changes})
    return {"promotion": lambda: promotion}


def released(world: World, id: str, **changes: Any) -> list[str]:
    return [event.detail for event in release(world.process(**changes).target, ReleaseRequest(Path(), image=id))]


def refused(world: World, id: str, **changes: Any) -> BadInput:
    """The refusal of a release, which is also its dry run's, and which changed nothing."""
    before = world.left()
    with pytest.raises(BadInput) as raised:
        released(world, id, **changes)
    with pytest.raises(BadInput) as rehearsed:
        plan_steps(world.process(**changes).target, ReleaseRequest(Path(), image=id))
    assert str(rehearsed.value) == str(raised.value)
    assert world.left() == before
    assert raised.value.exit_code == errors.BAD_INPUT
    assert raised.value.where
    return raised.value


def test_the_same_digest_runs_in_all_three() -> None:
    (dev, in_dev), (staging, in_staging), (prod, in_prod) = stack("dev"), stack("staging"), stack("prod")
    released(dev, in_dev)
    released(staging, in_staging, **after(dev, stack="dev", newest_ci_run=None))
    told = released(prod, in_prod, **after(staging))
    running = [state.image.rpartition("@")[2] for world in (dev, staging, prod) if (state := world.load().active_state)]
    assert running == [DIGEST] * 3
    assert any("was released in staging" in detail and staging.load().history[0] in detail for detail in told)
    assert f"CI passed on commit {COMMIT[:12]}: {PASSED.url}" in told
    source = read_source(Memory(prod), prod.load().history[0])
    assert source is not None
    assert source.commit == COMMIT


def test_prod_refuses_a_digest_that_staging_never_released() -> None:
    (staging, _), (prod, in_prod) = stack("staging"), stack("prod")
    error = refused(prod, in_prod, **after(staging))
    assert "is none of the last releases in staging" in error.what
    assert error.next == f"teal release --stack staging --image {DIGEST}"


def test_prod_refuses_a_digest_that_was_not_healthy_in_staging() -> None:
    (staging, in_staging), (prod, in_prod) = stack("staging", how=Behaviour(errors=0.5)), stack("prod")
    with pytest.raises(ReleaseFailed):
        released(staging, in_staging)
    error = refused(prod, in_prod, **after(staging))
    assert "was undone in staging" in error.what
    assert error.next == "teal history --stack staging"


def test_prod_refuses_a_digest_whose_newest_release_in_staging_failed_although_an_older_one_did_not() -> None:
    (staging, in_staging), (prod, in_prod) = stack("staging"), stack("prod")
    released(staging, in_staging)
    released(staging, staging.put_image("new"))
    staging.behaviour[in_staging] = Behaviour(errors=0.5)
    with pytest.raises(ReleaseFailed):
        released(staging, in_staging)
    assert "was undone in staging" in refused(prod, in_prod, **after(staging)).what


def test_prod_refuses_a_digest_that_staging_is_still_releasing() -> None:
    (staging, in_staging), (prod, in_prod) = stack("staging"), stack("prod")
    work = release(staging.process().target, ReleaseRequest(Path(), image=in_staging))
    next(event for event in work if event.step == "shift-25")
    staging.kept.append(work)
    error = refused(prod, in_prod, **after(staging))
    assert "is still being released in staging" in error.what
    assert error.next == "teal watch --stack staging"


@pytest.mark.parametrize(
    ("ci", "what", "next"),
    [
        (CiRun("failure", PASSED.url), "CI did not pass on commit c0ffee00c0ff: failure", f"gh run list --commit {COMMIT}"),
        (CiRun("cancelled", PASSED.url), "CI did not pass on commit c0ffee00c0ff: cancelled", f"gh run list --commit {COMMIT}"),
        (CiRun("", PASSED.url), "CI has not ended on commit c0ffee00c0ff", "teal release again, when it has passed"),
        (None, "CI never ran on commit c0ffee00c0ff as main had it", f"gh run list --commit {COMMIT}"),
    ],
)
def test_prod_refuses_a_commit_whose_ci_failed(ci: CiRun | None, what: str, next: str) -> None:
    (staging, in_staging), (prod, in_prod) = stack("staging"), stack("prod")
    released(staging, in_staging)
    error = refused(prod, in_prod, **after(staging, ci))
    assert (error.what, error.next) == (what, next)


def test_prod_refuses_an_image_whose_commit_nothing_names() -> None:
    (staging, in_staging), (prod, in_prod) = stack("staging", label="v7"), stack("prod", label="v7")
    released(staging, in_staging)
    error = refused(prod, in_prod, **after(staging))
    assert error.what == "Nothing names the commit of v7, so nothing says that CI passed on it"
    assert "release an image that the workflow release built in staging" in error.next


def test_a_refusal_ends_the_command_with_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (staging, _), (prod, in_prod) = stack("staging"), stack("prod")
    monkeypatch.setattr(commands, "open_target", lambda _stack: prod.process(**after(staging)).target)
    assert cli.run(["release", "--stack", "prod", "--image", in_prod]) == errors.BAD_INPUT
    assert "is none of the last releases in staging" in capsys.readouterr().err


def test_going_back_to_what_served_here_asks_no_other_stack() -> None:
    prod, in_prod = stack("prod")
    prod.put_image("new")
    released(prod, in_prod)
    first = prod.load().history[0]
    released(prod, "new")

    def unreachable() -> Promotion:
        raise BadInput("staging cannot be asked", where="staging", next="teal doctor")

    list(rollback_to(prod.process(promotion=unreachable).target, first))
    state = prod.load().active_state
    assert state is not None
    assert state.image == in_prod


def test_a_stack_without_the_section_releases_any_image() -> None:
    prod, in_prod = stack("prod")
    assert not [detail for detail in released(prod, in_prod) if "was released in" in detail]
    prod.assert_whole()
