"""The four roles of GitHub's workflows in this account, each for one kind of run of one repository. No key is stored anywhere.

Pull requests have no role, because their code runs before anybody has read it. Each role trusts only the workflow files that need
it, in their version on the branch. That STS checks the claim `job_workflow_ref` is AWS' announcement of 2026-01 ("validation of
identity provider specific claims"); it never ran here and is unverified. If STS did not, nobody could take a role.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pulumi
from pulumi_aws import iam

ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"
Kind = Literal["preview", "build", "release", "up"]
KINDS: Final[tuple[Kind, ...]] = ("preview", "build", "release", "up")
# The workflow files in .github/workflows whose jobs assume each role.
WORKFLOWS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "preview": ("drift", "platform"),
    "build": ("release",),
    "release": ("release", "rollback", "resume", "loadtest"),
    "up": ("platform",),
}
SESSION_SECONDS: Final = 3_600  # a release with its rollback window takes longer and renews its session; a stolen session ends


@dataclass(frozen=True)
class GithubRolesArgs:
    """`repository` is OWNER/NAME; `environment` its deployment environment. `provider_arn`: an account has one provider for GitHub at most."""

    prefix: str
    repository: str
    environment: str
    branch: str = "main"
    provider_arn: str | None = None


class GithubRoles(pulumi.ComponentResource):
    """The roles, without rights; `Delivery` attaches each policy.
    They are created before the cluster, which lists one as an administrator.

    Cost: nothing.
    """

    roles: dict[Kind, iam.Role]
    arns: dict[Kind, pulumi.Output[str]]

    def __init__(self, name: str, args: GithubRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("teal:infra:GithubRoles", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        provider: pulumi.Input[str] = (
            args.provider_arn
            if args.provider_arn is not None
            else iam.OpenIdConnectProvider(name, url=f"https://{ISSUER}", client_id_lists=[AUDIENCE], opts=child).arn
        )
        self.roles = {
            kind: iam.Role(
                f"{name}-{kind}",
                name=role_name(args.prefix, kind),
                max_session_duration=SESSION_SECONDS,
                assume_role_policy=pulumi.Output.from_input(provider).apply(
                    lambda arn, kind=kind: json.dumps(
                        github_trust(
                            arn,
                            subjects(kind, args.repository, args.environment, args.branch),
                            workflows(kind, args.repository, args.branch),
                        )
                    )
                ),
                opts=child,
            )
            for kind in KINDS
        }
        self.arns = {kind: role.arn for kind, role in self.roles.items()}
        self.register_outputs({"arns": self.arns})


def role_name(prefix: str, kind: Kind) -> str:
    """Physical name, known before the role exists."""
    return f"{prefix}-github-{kind}"


def subjects(kind: Kind, repository: str, environment: str, branch: str) -> list[str]:
    """The `sub` claims that may take the role; exact, no wildcard.

    preview: the branch, for the plan that reviewers approve and the nightly check for drift. release and up: jobs in a deployment
    environment that requires a person's approval; up has its own, NAME-platform.
    build also has its own, NAME-build, without approval. NAME-rollback is for rollback and abort, so that whoever gives the traffic
    back need not wait for those who approve releases.
    """
    match kind:
        case "preview":
            return [f"repo:{repository}:ref:refs/heads/{branch}"]
        case "build":
            return [f"repo:{repository}:environment:{environment}-build"]
        case "release":
            return [f"repo:{repository}:environment:{environment}", f"repo:{repository}:environment:{environment}-rollback"]
        case "up":
            return [f"repo:{repository}:environment:{environment}-platform"]


def workflows(kind: Kind, repository: str, branch: str) -> list[str]:
    """The `job_workflow_ref` claims that may take the role:
    these workflow files in their version on the branch, not on another one."""
    return [f"{repository}/.github/workflows/{name}.yml@refs/heads/{branch}" for name in WORKFLOWS[kind]]


def github_trust(provider_arn: str, allowed: list[str], files: list[str]) -> dict[str, Any]:
    """The role's trust policy: GitHub's tokens for AWS with one of these subjects, from a job of one of these workflow files."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": allowed, f"{ISSUER}:job_workflow_ref": files}
                },
            }
        ],
    }
