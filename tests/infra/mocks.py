"""Runs a piece of a Pulumi program without an engine and lists what it registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc


@dataclass(frozen=True)
class Registered:
    """One resource as the engine would have received it; the names of inputs are the provider's (camelCase)."""

    type: str
    name: str
    inputs: dict[str, Any]
    protect: bool
    urn: str
    parent: str
    depends_on: tuple[str, ...]
    provider: str
    ignore_changes: tuple[str, ...]


class _Parts(mocks.Mocks):
    """Answers as a provider would where this program reads outputs: every resource has an id, an ARN and what it was given."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        known = {"arn": f"arn:aws:mock:eu-central-1:111122223333:{args.name}", "result": "mock-password", **(args.inputs or {})}
        if args.typ == "aws:rds/instance:Instance":
            known |= {
                "address": "db.example",
                "resourceId": "db-MOCK",
                "port": 5432,
                "masterUserSecrets": [
                    {"secretArn": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-mock", "secretStatus": "active"}
                ],
            }
        if args.typ == "aws:elasticache/replicationGroup:ReplicationGroup":
            known |= {"primaryEndpointAddress": "cache.example", "port": 6379}
        return args.resource_id or f"{args.name}-id", known

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        return dict(args.args)


class _Monitor(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Parts())
        self.found: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)
        self.found.append(
            Registered(
                type=request.type,
                name=request.name,
                inputs=rpc.deserialize_properties(request.object),
                protect=request.protect,
                urn=answer.urn,
                parent=request.parent,
                depends_on=tuple(request.dependencies),
                provider=request.provider,
                ignore_changes=tuple(request.ignoreChanges),
            )
        )
        return answer


def run(program: Callable[[], object], stack: str = "dev") -> list[Registered]:
    """What `program` registers, in the engine's order. About 2 ms a resource."""
    monitor = _Monitor()
    mocks.set_mocks(_Parts(), project="teal", stack=stack, preview=False, monitor=monitor)

    @pulumi.runtime.test
    def evaluated() -> None:
        program()

    evaluated()
    return monitor.found
