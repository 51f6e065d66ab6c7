"""The source of a release: its commit and packages, kept beside its plan and never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from teal.record.file import StoreFailed
from teal.record.model import Store
from teal.record.releases import PastRelease, ReleasePlan, read_kept


class ReleaseSource(BaseModel):
    """`releases/<id>.source.json`. `dirty`: files had uncommitted changes.
    `packages`: the lock's packages with their versions. Empty fields are unknown."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    commit: str = ""
    dirty: bool = False
    branch: str = ""
    author: str = ""
    packages: dict[str, str] = {}

    def said(self) -> str:
        """One line: the commit, whether there were other changes, the branch, the author."""
        commit = self.commit[:12] + ("+changes" if self.dirty else "")
        return ", ".join(
            part for part in (commit, self.branch and f"branch {self.branch}", self.author and f"by {self.author}") if part
        )


def source_key(id: str) -> str:
    return f"releases/{id}.source.json"


def read_source(store: Store, id: str) -> ReleaseSource | None:
    """The source of a release; None when it is missing or cannot be read, because no release depends on it."""
    try:
        return read_kept(ReleaseSource, store, source_key(id))
    except StoreFailed:
        return None


def source_of_image(store: Store, past: tuple[PastRelease, ...], image: str) -> ReleaseSource | None:
    """The source of an image, from an earlier release of the same image."""
    same = (one.id for one in past if one.plan is not None and one.plan.state.image == image)
    return next((found for id in same if (found := read_source(store, id)) is not None), None)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """The added, removed and changed entries, by name."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{name} {old} -> {new}" if old and new else f"{name} {new} is new" if new else f"{name} {old} is gone"


def compare_sources(plan: ReleasePlan, source: ReleaseSource | None, before: ReleaseSource | None) -> dict[str, Any]:
    """The source of a release, and how its packages and configuration differ from those of the release that it replaces
    (`before`)."""
    return {
        "source": source.model_dump(exclude={"packages"}) if source else None,
        "configuration": list(differences(plan.replaces.config, plan.state.config)) if plan.replaces else [],
        "packages": list(differences(before.packages, source.packages)) if before and source else [],
    }
