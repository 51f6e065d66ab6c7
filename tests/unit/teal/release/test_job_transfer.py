"""Jobs reach the color that stays although its image is older than the releaser and names the command as it did then."""

from __future__ import annotations

from pathlib import Path

import pytest

from teal.errors import AdminFailed
from teal.release.job_transfer import transfer_jobs
from teal.release.runner import ReleaseFailed, ReleaseRequest, release
from tests.unit.teal.release.ports import Behaviour, World


def test_an_undone_release_gives_its_jobs_to_an_older_image_by_the_name_that_it_knows(world: World) -> None:
    world.older_images.add("old")
    world.put_image("new", Behaviour(errors=0.5))
    with pytest.raises(ReleaseFailed):
        list(release(world.process().target, ReleaseRequest(Path("new"))))
    world.assert_whole()
    assert "jobs rehome" in {" ".join(call.split()[:2]) for call in world.calls}


def test_a_new_image_is_never_asked_by_the_old_name(world: World) -> None:
    list(release(world.process().target, ReleaseRequest(Path("new"))))
    world.assert_whole()
    assert not [call for call in world.calls if call.startswith("jobs rehome")]


def test_a_transfer_that_fails_for_another_reason_says_so() -> None:
    def ask(*words: str) -> list[dict[str, object]]:
        raise AdminFailed(" ".join(words[:2]), code="busy", detail="the database is busy", action="wait", bad_input=False)

    with pytest.raises(AdminFailed, match="the database is busy"):
        transfer_jobs(ask, "r1", "r2")
