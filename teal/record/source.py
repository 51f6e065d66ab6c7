"""What a release was made from: kept beside its plan, and never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from teal.record.file import StoreFailed
from teal.record.model import Store
from teal.record.releases import PastRelease, ReleasePlan, read_kept


class ReleaseSource(BaseModel):
    """`releases/<id>.source.json`. `dirty`: files were changed and not committed. `packages`: the lock's, with their versions. Empty is unknown."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    commit: str = ""
    dirty: bool = False
    branch: str = ""
    author: str = ""
    packages: dict[str, str] = {}

    def said(self) -> str:
        """In a line: the commit, whether it is all, the branch, the author."""
        commit = self.commit[:12] + ("+changes" if self.dirty else "")
        return ", ".join(
            part for part in (commit, self.branch and f"branch {self.branch}", self.author and f"by {self.author}") if part
        )


def source_key(id: str) -> str:
    return f"releases/{id}.source.json"


def read_source(store: Store, id: str) -> ReleaseSource | None:
    """None when nothing is kept of it, or it cannot be read: no release waits for that."""
    try:
        return read_kept(ReleaseSource, store, source_key(id))
    except StoreFailed:
        return None


def source_of_image(store: Store, past: tuple[PastRelease, ...], image: str) -> ReleaseSource | None:
    """From when that image was released before."""
    same = (one.id for one in past if one.plan is not None and one.plan.state.image == image)
    return next((found for id in same if (found := read_source(store, id)) is not None), None)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """What is new, gone or other, by name."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{name} {old} -> {new}" if old and new else f"{name} {new} is new" if new else f"{name} {old} is gone"


def compare_sources(plan: ReleasePlan, source: ReleaseSource | None, before: ReleaseSource | None) -> dict[str, Any]:
    """What a release is made from, and how its packages and configuration differ from what it replaces, which was made from `before`."""
    return {
        "source": source.model_dump(exclude={"packages"}) if source else None,
        "configuration": list(differences(plan.replaces.config, plan.state.config)) if plan.replaces else [],
        "packages": list(differences(before.packages, source.packages)) if before and source else [],
    }
