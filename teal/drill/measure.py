"""The measurements of a drill, and whether they are within its limits. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from teal.drill.users import UserRequest
from teal.errors import BadInput
from teal.runbook import BlockResult

Verdict = Literal["within", "past", "failed", "could not run"]


class DrillLimits(BaseModel):
    """The most that a drill may cost. RTO: seconds from the fault until users are answered again (`answered_seconds`) and until the stack
    is whole (`whole_seconds`); RPO: acknowledged documents that are missing, and how far back the oldest of them was acknowledged."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    answered_seconds: float = Field(ge=0)
    whole_seconds: float = Field(gt=0)
    lost_documents: int | None = Field(0, ge=0)  # None: no limit but rpo_seconds
    rpo_seconds: float = Field(0, ge=0)
    failed_requests: int | None = Field(None, ge=0)  # None: no limit but answered_seconds


@dataclass(frozen=True, slots=True)
class DrillResult:
    """The result of one drill. Times are seconds after the fault, None when the event did not happen.
    Requests count from the fault on."""

    drill: str
    fault: str
    runbook: str
    began: str  # ISO, UTC
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    answered_seconds: float | None = None
    whole_seconds: float | None = None
    lost_documents: int = 0
    rpo_seconds: float = 0.0
    documents: int = 0
    requests: int = 0
    failed_requests: int = 0
    broken_streams: int = 0
    per_second: float = 0.0
    p50_seconds: float = 0.0
    p99_seconds: float = 0.0
    worst_seconds: float = 0.0
    # How late requests were sent (99th percentile), because the users' process waited for a processor
    p99_late_seconds: float = 0.0
    failures: tuple[str, ...] = ()  # the first ones, in words
    blocks: tuple[BlockResult, ...] = ()
    took_seconds: float = 0.0
    marks: Mapping[str, float] | None = None  # seconds after the first request
    # Of each request: seconds after the first one, seconds it took, whether it was answered.
    timeline: tuple[tuple[float, float, bool], ...] = ()

    def fields(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def read_limits(path: Path) -> dict[str, DrillLimits]:
    """Targets by drill from a YAML file. Raises BadInput that names what is wrong."""
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(dict[str, DrillLimits]).validate_python(said)
    except FileNotFoundError as error:
        raise BadInput("There are no targets here", where=str(path), next="run it from a checkout of the project") from error
    except yaml.YAMLError as error:
        raise BadInput(f"The targets are no YAML: {error}", where=str(path), next=f"edit {path}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise BadInput(f"The targets are wrong: {wrong}", where=str(path), next=f"edit {path}") from error


def answered_again(requests: Sequence[UserRequest], fault_at: float) -> float | None:
    """Seconds from the fault (Unix seconds) until the first answer to a request that was sent after the last one that failed.

    0.0 when none failed; None when nothing was answered after the last failure.
    """
    after = [request for request in requests if request.ended >= fault_at]
    failed = [request.at for request in after if not request.good]
    if not failed:
        return 0.0
    answered = [request.ended for request in after if request.good and request.at > max(failed)]
    return min(answered) - fault_at if answered else None


def reached_back(requests: Sequence[UserRequest], missing: Collection[str], fault_at: float) -> float:
    """RPO: seconds from the acknowledgement of the oldest missing document to the fault; 0.0 when none is missing."""
    lost = [request.ended for request in requests if request.document in missing]
    return max(0.0, fault_at - min(lost)) if lost else 0.0


def exceeded_limits(found: DrillResult, target: DrillLimits) -> tuple[str, ...]:
    """The exceeded limits as sentences; empty when all are kept."""

    def late(what: str, seconds: float | None, most: float) -> str:
        if seconds is None:
            return f"never {what}"
        return f"{what} after {seconds:.1f} s, target {most:g} s" if seconds > most else ""

    said = [
        late("answered again", found.answered_seconds, target.answered_seconds),
        late("whole again", found.whole_seconds, target.whole_seconds),
    ]
    if target.lost_documents is not None and found.lost_documents > target.lost_documents:
        said.append(f"{found.lost_documents} acknowledged documents are missing, target {target.lost_documents}")
    if found.rpo_seconds > target.rpo_seconds:
        said.append(f"what is missing reaches back {found.rpo_seconds:.1f} s, target {target.rpo_seconds:g} s")
    if target.failed_requests is not None and found.failed_requests > target.failed_requests:
        said.append(f"{found.failed_requests} requests failed, target {target.failed_requests}")
    return tuple(one for one in said if one)
