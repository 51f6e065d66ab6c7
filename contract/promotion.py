"""How one image reaches one stack after the other: the section `teal:promotion` of a stack's file. `infra` gives the rights to read
the stack before, and `teal release` refuses an image that was not released Healthy there."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NeighborStack(_Frozen):
    """Another stack of this service. Without `account_id` and `region` it is in this stack's own."""

    stack: Annotated[str, Field(pattern=r"^[a-z](-?[a-z0-9])*$", max_length=20)]
    account_id: str | None = Field(default=None, pattern=r"^\d{12}$")
    region: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")


class PromotionRules(_Frozen):
    """The whole section; without it any image of the stack's repository may be released.

    `promoted_from`: an image may be released here if its newest release there ended Healthy; the workflow copies it from there.
    `promoted_to`: the stack that promotes from this one, needed only if it is in another account, which then may read this stack's
    images and record. `ci_workflow`: the file in .github/workflows whose newest run on the image's commit must have passed.
    """

    promoted_from: NeighborStack | None = None
    promoted_to: NeighborStack | None = None
    ci_workflow: str | None = Field(default=None, pattern=r"^[\w.-]+\.ya?ml$")
