"""Who GitHub's workflows are in this account: three roles, each for one kind of run of one repository. No key is stored anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import pulumi
from pulumi_aws import iam

ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"
Kind = Literal["preview", "release", "up"]
KINDS: Final[tuple[Kind, ...]] = ("preview", "release", "up")
# Which files take which role: a step that somebody adds to another workflow gets none.
WORKFLOWS: Final[dict[Kind, tuple[str, ...]]] = {
    "preview": ("drift.yml", "platform.yml"),
    "release": ("release.yml", "rollback.yml", "loadtest.yml"),
    "up": ("platform.yml",),
}
OF_PULL_REQUESTS: Final = "preview.yml"
SESSION_SECONDS: Final = 3_600  # a release with its hold is longer: it renews its session, a stolen one ends


@dataclass(frozen=True)
class GithubRolesArgs:
    """`repository` is OWNER/NAME; `environment` its deployment environment. `provider_arn`: an account has one provider for GitHub at most."""

    prefix: str
    repository: str
    environment: str
    branch: str = "main"
    provider_arn: str | None = None


class GithubRoles(pulumi.ComponentResource):
    """Roles without rights: `Delivery` gives each its policy. They come before the cluster, which lists one as an administrator.

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
                        trust(
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

    preview: pull requests of the repository (GitHub gives forks no token) and the branch, for the nightly look at drift. release and
    up: jobs in a deployment environment, where GitHub asks a person first; up has one of its own, NAME-platform.
    """
    match kind:
        case "preview":
            return [f"repo:{repository}:pull_request", f"repo:{repository}:ref:refs/heads/{branch}"]
        case "release":
            return [f"repo:{repository}:environment:{environment}"]
        case "up":
            return [f"repo:{repository}:environment:{environment}-platform"]


def workflows(kind: Kind, repository: str, branch: str) -> list[str]:
    """The `job_workflow_ref` claims that may take the role: these files on the branch, and for a preview also as the pull request has them.

    STS looks at this claim since January 2026, in the commercial regions ("AWS STS supports validation of select identity provider specific
    claims", aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims/)."""
    here = f"{repository}/.github/workflows"
    found = [f"{here}/{name}@refs/heads/{branch}" for name in WORKFLOWS[kind]]
    return [*found, f"{here}/{OF_PULL_REQUESTS}@refs/pull/*/merge"] if kind == "preview" else found


def trust(provider_arn: str, allowed: list[str], named: list[str]) -> dict[str, Any]:
    """The role's trust policy: GitHub's tokens for AWS with one of these subjects, from one of these workflows."""
    # A pattern only where a number is unknown: that of a pull request. Without the claim either comparison fails.
    operator = "StringLike" if any("*" in one for one in named) else "StringEquals"
    condition: dict[str, dict[str, Any]] = {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": allowed}}
    condition.setdefault(operator, {})[f"{ISSUER}:job_workflow_ref"] = named
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": condition,
            }
        ],
    }
