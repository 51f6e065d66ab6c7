"""Runs the `pulumi` command as a process; returns its output as data and raises its failures as readable errors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from teal.aws.pulumi.causes import cause
from teal.errors import BadInput, NeedsHuman, OperatorError

_UNREACHABLE: Final = "configured Kubernetes cluster is unreachable"  # pulumi-kubernetes's words
_LAST_LINES: Final = 15


class PulumiCommandFailed(OperatorError):
    """Pulumi ended with an error. Its state contains what it had done by then, so the same command can be run again."""

    code = "pulumi-failed"


class ClusterUnreachable(NeedsHuman):
    """Kubernetes does not answer, so its objects can be removed from the state but not deleted."""

    code = "cluster-unreachable"


@dataclass(frozen=True, slots=True)
class StateResource:
    """One resource as Pulumi's state describes it."""

    urn: str
    type: str
    id: str
    protect: bool
    dependencies: tuple[str, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What encrypts a stack's secrets: a key's URL (or `passphrase`, `service`), and the data key that it encrypts."""

    provider: str
    encrypted_key: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What `pulumi up` would do. `violations`: what the policy pack forbids in it, one sentence each; `document`: Pulumi's JSON."""

    changes: Mapping[str, int]
    violations: tuple[str, ...]
    document: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PulumiCli:
    """Pulumi's commands for one project. `environment` is added to the shell's. No command prompts."""

    folder: Path
    backend_url: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def stacks(self) -> tuple[str, ...]:
        """Names of the project's stacks."""
        return tuple(str(row["name"]).rsplit("/", 1)[-1] for row in json.loads(self._run("stack", "ls", "--json")))

    def resources(self, stack: str) -> tuple[StateResource, ...]:
        """The resources in the state, except the stack itself. Secrets stay encrypted."""
        document = json.loads(self._run("stack", "export", "--stack", stack))
        rows = (document.get("deployment") or {}).get("resources") or []
        return tuple(
            StateResource(
                row["urn"], row["type"], str(row.get("id", "")), bool(row.get("protect")), _needed(row), row.get("outputs") or {}
            )
            for row in rows
            if row["type"] != "pulumi:pulumi:Stack"
        )

    def require(self) -> None:
        """Raises BadInput when the command is not here."""
        self._binary()

    def login(self) -> None:
        """Make this backend the one that `pulumi` uses in the shell too."""
        self._run("login", self.backend_url)

    def create(self, stack: str, secrets_provider: str) -> None:
        """Make an empty stack. Pulumi rewrites the stack file without its comments; the caller must restore it.
        Fails when the stack exists."""
        self._run("stack", "init", stack, "--secrets-provider", secrets_provider, "--no-select")

    def secrets_of(self, stack: str) -> Secrets:
        """What encrypts the secrets in the stack's state."""
        deployment = json.loads(self._run("stack", "export", "--stack", stack)).get("deployment") or {}
        found = deployment.get("secrets_providers") or {}
        state = found.get("state") or {}
        return Secrets(str(state.get("url") or found.get("type") or "nothing"), str(state.get("encryptedkey") or ""))

    def unprotect(self, stack: str, urns: Sequence[str]) -> None:
        """Allow these resources to be deleted."""
        for urn in urns:
            self._run("state", "unprotect", urn, "--stack", stack, "--yes")

    def preview(self, stack: str, policies: Path, save: Path | None = None) -> Preview:
        """Plan, and check the plan with a policy pack. Changes nothing. `save`: a file for the plan, for `up --plan`. Raises
        PulumiCommandFailed when the program fails."""
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch) / "events.jsonl"  # the JSON of a preview does not say which policies failed (3.260)
            options = ("--save-plan", str(save)) if save else ()
            told = ("preview", "--stack", stack, "--json", "--policy-pack", str(policies), "--event-log", str(log), *options)
            ended = self.ended(*told, PULUMI_DEBUG_COMMANDS="true")  # without it there is no --event-log
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        events = [json.loads(line)["policyEvent"] for line in lines if '"policyEvent"' in line]
        forbidden = [_violation(event) for event in events if event.get("enforcementLevel") == "mandatory"]
        if ended.returncode != 0 and not forbidden:
            raise self._failure(ended, *told)
        changes = json.loads(ended.stdout).get("changeSummary") or {}
        return Preview(changes, tuple(dict.fromkeys(forbidden)), ended.stdout)

    def settings(self, stack: str) -> dict[str, Any] | None:
        """The configuration of the last operation, by key, without secrets; None when there was no operation."""
        rows = json.loads(self._run("stack", "history", "--stack", stack, "--json", "--page-size", "1") or "[]")
        if not rows:
            return None
        held = {key: one.get("objectValue", one.get("value")) for key, one in rows[0]["config"].items() if not one.get("secret")}
        return held or None

    def protect(self, stack: str, urns: Sequence[str]) -> None:
        """Protect these resources from deletion."""
        for urn in urns:
            self._run("state", "protect", urn, "--stack", stack, "--yes")

    def destroy(self, stack: str, targets: Sequence[str] = (), *, exclude_protected: bool = False) -> None:
        """Delete `targets` and nothing else; without targets everything, except protected resources with `exclude_protected`."""
        chosen = [part for urn in targets for part in ("--target", urn)]
        options = [*chosen, *(["--exclude-protected"] if exclude_protected else [])]
        self._run("destroy", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs", *options)

    def remove(self, stack: str) -> None:
        """Remove an empty stack."""
        self._run("stack", "rm", stack, "--yes", "--preserve-config")

    def _binary(self) -> str:
        binary = shutil.which("pulumi", path=self.environment.get("PATH") or os.environ.get("PATH"))
        if binary is None:
            raise BadInput("The pulumi command is not here", where="PATH", next="install Pulumi, then run this again")
        return binary

    def _run(self, *arguments: str) -> str:
        ended = self.ended(*arguments)
        if ended.returncode != 0:
            raise self._failure(ended, *arguments)
        return ended.stdout

    def ended(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        fixed = {"PULUMI_BACKEND_URL": self.backend_url, "PULUMI_SKIP_UPDATE_CHECK": "true", "NO_COLOR": "1", **more}
        return subprocess.run(  # noqa: S603 - a list of arguments, no shell
            [self._binary(), *arguments, "--non-interactive"],
            cwd=self.folder,
            env={**os.environ, **self.environment, **fixed},
            capture_output=True,
            text=True,
            check=False,
        )

    def _failure(self, ended: subprocess.CompletedProcess[str], *arguments: str) -> OperatorError:
        said = "\n".join(line for line in f"{ended.stdout}\n{ended.stderr}".splitlines() if line.strip())
        where = f"pulumi {' '.join(arguments[:2])} in {self.folder}"
        if _UNREACHABLE in said:
            return ClusterUnreachable(
                "The Kubernetes API does not answer, so what is in the cluster cannot be deleted in order",
                where=where,
                next="reach it (VPN, cluster.endpoint_cidrs) and run this again; if it is gone: add --cluster-gone",
            )
        last = "\n".join(said.splitlines()[-_LAST_LINES:])
        if known := cause(said):
            stack = arguments[arguments.index("--stack") + 1] if "--stack" in arguments else "STACK"
            return PulumiCommandFailed(f"{known.what}. Pulumi says:\n{last}", where=where, next=known.next.format(stack=stack))
        return PulumiCommandFailed(f"Pulumi failed:\n{last}", where=where, next="correct that, then run the same command again")


def _violation(event: Mapping[str, Any]) -> str:
    """The rule, the resource, and what is wrong with it; the message's first line is the rule's own description."""
    wrong = " ".join(str(event.get("message", "")).split("\n", 1)[-1].split())
    return f"{event.get('policyName')}: {str(event.get('resourceUrn', '')).rpartition('::')[2]}: {wrong}"


def _needed(row: Mapping[str, Any]) -> tuple[str, ...]:
    """URNs that this resource needs: its dependencies, its provider (`URN::id`), and the component it is part of."""
    provider = str(row.get("provider", "")).rpartition("::")[0]
    return tuple(urn for urn in (*(row.get("dependencies") or ()), provider, str(row.get("parent", ""))) if urn)
