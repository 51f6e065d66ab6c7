"""The table of what each role can reach in docs/security.md, from the policies of prod: `python -m infra.delivery.reach_table`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from infra.delivery.reach import OTHERS, Account, IamRole, Statement, as_texts, statements, ways
from infra.evaluation import evaluate
from infra.evaluation.evaluate import Evaluation

# Copied from moto's copy of AWS' policies (5.2.x); a test compares them, and writes them anew.
TEXTS: Final = Path(__file__).with_name("managed_policies.json")
_MANAGED: Final = "arn:aws:iam::aws:policy/"
PAGE: Final = Path("docs/security.md")
STACK: Final = "prod"
BEGIN: Final = "<!-- reach: begin (python -m infra.delivery.reach_table) -->\n"
END: Final = "<!-- reach: end -->\n"
_IAM: Final = "arn:aws:iam::123456789012"
_LOOKS: Final = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "View", "Query")


def account_of(platform: Evaluation, stack: str) -> Account:
    """A model account with the stack's identities and some others, which must not be reachable."""

    def made(kind: str) -> list[Any]:
        return [one.inputs for one in platform.resources if one.type == kind]

    inline: dict[str, list[Statement]] = {}
    for one in made("aws:iam/rolePolicy:RolePolicy"):
        inline.setdefault(str(one["role"]).partition("-id")[0], []).extend(statements(one["policy"]))
    texts, managed = _managed(), dict[str, list[Statement]]()
    for one in made("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        _, ours, name = str(one["policyArn"]).partition(_MANAGED)
        if ours:  # KeyError: the text of an AWS managed policy is missing; tests/parts/infra/test_managed_policies.py writes it
            managed.setdefault(str(one["role"]).partition("-id")[0], []).extend(texts[name.rpartition("/")[2]])
    groups = {
        str(one["principalArn"]): tuple(one["kubernetesGroups"] or ())
        for one in made("aws:eks/accessEntry:AccessEntry")
        if "kubernetesGroups" in one
    }
    roles: dict[str, IamRole] = {}
    for one in made("aws:iam/role:Role"):
        arn = f"{_IAM}:role/{one['name']}"
        roles[arn] = IamRole(
            arn,
            statements(one["assumeRolePolicy"]),
            tuple(inline.get(one["name"], ())),
            one.get("permissionsBoundary"),
            managed=tuple(managed.get(one["name"], ())),
            groups=groups.get(arn, ()),
        )
    boundaries = {f"{_IAM}:policy/{one['name']}": statements(one["policy"]) for one in made("aws:iam/policy:Policy")}
    state = f"arn:aws:s3:::teal-{stack}-state-123456789012/.pulumi/stacks/teal/{stack}.json"
    up = f"{_IAM}:role/teal-{stack}-github-up"
    (images,) = [str(one["name"]) for one in made("aws:ecr/repository:Repository")]
    everybody = roles | {one.arn: one for one in OTHERS}
    repository = f"arn:aws:ecr:eu-central-1:123456789012:repository/{images}"
    return Account(everybody, boundaries, {state: up} if up in roles else {}, repository, _pods(platform))


def _pods(platform: Evaluation) -> dict[str, tuple[str, ...]]:
    """The roles of the pods that each group of the cluster may create. The preview role's group may only try (preview_access)."""
    identities: dict[str, set[str]] = {}
    for one in platform.resources:
        if one.type == "aws:eks/podIdentityAssociation:PodIdentityAssociation":
            identities.setdefault(str(one.inputs["namespace"]), set()).add(str(one.inputs["roleArn"]))
    found: dict[str, set[str]] = {}
    for one in platform.resources:
        if one.type == "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding":
            for subject in one.inputs["subjects"]:
                found.setdefault(str(subject["name"]), set()).update(identities.get(str(one.inputs["metadata"]["namespace"]), ()))
    return {group: tuple(sorted(arns)) for group, arns in found.items()}


def _managed() -> dict[str, list[Statement]]:
    """The statements of AWS' own policies that the program gives to a role, by name."""
    found: dict[str, Any] = json.loads(TEXTS.read_text(encoding="utf-8"))
    return {name: one["Statement"] for name, one in found.items()}


def reach_table(account: Account, stack: str) -> str:
    """The table, with one row for each role of the stack."""
    rows = [
        "| role | who takes it | what it changes, or reads the content of | what other identity it comes to |\n|---|---|---|---|\n"
    ]
    for role in sorted(account.roles.values(), key=lambda one: (not one.name.startswith(f"teal-{stack}-github"), one.name)):
        if role in OTHERS:
            continue
        found = sorted(ways(account, role))
        rows.append(
            f"| `{role.name}` | {_takers(role)} | {_changes(role)} | {', '.join(f'`{one}`' for one in found) or 'none'} |\n"
        )
    return "".join(rows)


def _takers(role: IamRole) -> str:
    found: list[str] = []
    for statement in role.trust:
        principal: dict[str, Any] = dict(statement["Principal"])
        found += [one.removesuffix(".amazonaws.com") for one in as_texts(principal.get("Service", []))]
        for conditions in statement.get("Condition", {}).values() if "Federated" in principal else ():
            found += [f"`{one}`" for key, values in conditions.items() if key.endswith(":sub") for one in as_texts(values)]
            found += [
                _file(one) for key, values in conditions.items() if key.endswith(":job_workflow_ref") for one in as_texts(values)
            ]
    return "<br>".join(found)


def _file(reference: str) -> str:
    return f"`{reference.rpartition('/.github/workflows/')[2]}`"


def _changes(role: IamRole) -> str:
    lines: list[str] = []
    for statement in role.policies:
        actions = [one for one in as_texts(statement["Action"]) if not _only_looks(one)]
        if statement["Effect"] == "Allow" and actions:
            where = ", ".join(f"`{_short(one)}`" for one in sorted(set(as_texts(statement["Resource"]))))
            what = ", ".join(actions) if len(actions) <= 6 else f"{', '.join(actions[:4])} and {len(actions) - 4} more"
            lines.append(f"{what}: {where}" + (" (under a condition)" if "Condition" in statement else ""))
    return "<br>".join(lines) or ("by AWS' own policies alone" if not role.policies else "nothing")


def _only_looks(action: str) -> bool:
    """Whether an action only reads configuration, not the content of a secret, a file or an image."""
    service, name = action.split(":", 1)
    return name.startswith(_LOOKS) and action not in ("secretsmanager:GetSecretValue", "s3:GetObject") and service != "kms"


def _short(arn: str) -> str:
    """An ARN without the parts that all have in common, and without ids that the evaluation invents."""
    own = arn.removeprefix("arn:aws:").replace(":eu-central-1:123456789012:", ":").replace("123456789012", "ACCOUNT")
    return re.sub(r"(?<=[-/])[0-9a-f]{6,12}$", "ID", own)


def page_with_table(page: str, account: Account, stack: str) -> str:
    """The page with the new table between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{reach_table(account, stack)}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(
        page_with_table(PAGE.read_text(encoding="utf-8"), account_of(evaluate.platform(STACK), STACK), STACK), encoding="utf-8"
    )
