"""What GitHub may do here: who can take a role, and that each role can do its own work and nothing else."""

from __future__ import annotations

import fnmatch
import json
import re
from functools import cache
from typing import Any

import botocore.session
import pytest

from infra.delivery import preview_access
from infra.delivery.github_roles import KINDS, GithubRoles, GithubRolesArgs, subjects
from infra.delivery.policies import UNLIMITED, UNLIMITED_UP, StateLocation
from infra.delivery.promotion import StackPlace
from infra.delivery.registry import GROUPS, Delivery, DeliveryArgs
from infra.evaluation.evaluate import ROOT
from infra.platform import boundary
from infra.platform.boundary import PASSED_TO
from tests.unit.infra.conftest import STACKS, Stack, evaluate
from tests.unit.infra.delivery.provider_reads import LEFT_OUT, READ_CALLS
from tests.unit.infra.mocks import RegisteredResource, run

WHERE = StateLocation(
    stack="prod",
    prefix="teal-prod",
    region="eu-central-1",
    account_id="123456789012",
    state_bucket="teal-state-123456789012",
    platform_key_alias="alias/teal-prod-state",
    color_key_alias="alias/teal-prod-state-colors",
)
RULE = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/teal-prod/1/2/3"
PROBES = [f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:teal-prod/probe/{color}-1" for color in ("blue", "green")]
TOPIC = "arn:aws:sns:eu-west-1:111122223333:releases"
STAGING = StackPlace("staging", "444455556666", "eu-west-1")
# IAM actions that are no API operation, so botocore's models cannot confirm them; read in the Service Authorization Reference.
NOT_IN_BOTOCORE = {
    "aps:QueryMetrics",
    "aps:GetLabels",
    "aps:GetSeries",
    "backup-storage:MountCapsule",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
}
BOTOCORE_NAMES = {"elasticloadbalancing": "elbv2", "aps": "amp"}
SAME_OPERATION = {"s3:ListBucket": "ListObjectsV2", "s3:ListBucketVersions": "ListObjectVersions", "s3:GetObjectVersion": "GetObject", "iam:PassRole": "CreateRole",
                  "s3:GetEncryptionConfiguration": "GetBucketEncryption", "s3:GetLifecycleConfiguration": "GetBucketLifecycleConfiguration",
                  "s3:GetReplicationConfiguration": "GetBucketReplication", "budgets:ViewBudget": "DescribeBudget",
                  "s3:GetAccelerateConfiguration": "GetBucketAccelerateConfiguration"}  # fmt: skip


@cache
def registered() -> tuple[RegisteredResource, ...]:
    def program() -> None:
        roles = GithubRoles("github", GithubRolesArgs(prefix="teal-prod", repository="example/teal", environment="prod"))
        Delivery(
            "delivery",
            DeliveryArgs(
                where=WHERE,
                roles=roles,
                images_key_arn="arn:key:images",
                data_key_arn="arn:key:data",
                rule_arn=RULE,
                cluster_name="teal-prod",
                cluster_arn="arn:aws:eks:eu-central-1:123456789012:cluster/teal-prod",
                release_bucket_arn="arn:aws:s3:::teal-prod-releases",
                workspace_arn="arn:aws:aps:eu-central-1:123456789012:workspace/ws-1",
                probe_secret_arns=PROBES,
                key_arns=["arn:key:data", "arn:key:images"],
                hosted_zone_id="Z0123456789",
                app_secret_arns=["arn:aws:secretsmanager:eu-central-1:123456789012:secret:teal-prod/cache-1"],
                topic_arns=[TOPIC],
                promoted_from=STAGING,
            ),
        )

    return tuple(run(program))


def statements(kind: str) -> list[dict[str, Any]]:
    (policy,) = [r for r in registered() if r.type == "aws:iam/rolePolicy:RolePolicy" and r.name == f"delivery-{kind}"]
    found: list[dict[str, Any]] = json.loads(policy.inputs["policy"])["Statement"]
    return found


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(kind: str) -> set[str]:
    return {action for s in statements(kind) if s["Effect"] == "Allow" for action in listed(s["Action"])}


def role(kind: str) -> dict[str, Any]:
    (found,) = [r.inputs for r in registered() if r.type == "aws:iam/role:Role" and r.name == f"github-{kind}"]
    return found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("preview", ["repo:example/teal:ref:refs/heads/main"]),
        ("build", ["repo:example/teal:environment:prod-build"]),
        ("release", ["repo:example/teal:environment:prod", "repo:example/teal:environment:prod-rollback"]),
        ("up", ["repo:example/teal:environment:prod-platform"]),
    ],
)
def test_a_role_is_taken_by_one_kind_of_run_of_one_repository(kind: str, expected: list[str]) -> None:
    (statement,) = json.loads(role(kind)["assumeRolePolicy"])["Statement"]
    condition = statement["Condition"]["StringEquals"]
    assert condition["token.actions.githubusercontent.com:sub"] == expected
    assert condition["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert not any("*" in subject for subject in expected)


def test_no_role_trusts_a_pull_request() -> None:
    """Its code runs before anybody has read it: who may push a branch would have what the role has."""
    for kind in KINDS:
        (statement,) = json.loads(role(kind)["assumeRolePolicy"])["Statement"]
        assert "pull_request" not in json.dumps(statement)


@pytest.mark.parametrize("kind", KINDS)
def test_a_role_trusts_the_workflow_files_that_take_it_as_the_branch_has_them(kind: str) -> None:
    (statement,) = json.loads(role(kind)["assumeRolePolicy"])["Statement"]
    files = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:job_workflow_ref"]
    taking = {
        path.name
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        if re.search(rf":role/teal-.+?-github-{kind}\b", path.read_text(encoding="utf-8"))
    }
    assert taking
    assert set(files) == {f"example/teal/.github/workflows/{name}@refs/heads/main" for name in taking}


def test_who_releases_an_image_cannot_make_one_and_who_makes_one_can_release_none() -> None:
    """The operator's Jobs run what the repository holds, by digest: the release role alone puts nothing into it."""
    pushes = {
        action
        for kind in KINDS
        for action in actions(kind)
        if re.match(r"ecr:(Put|Upload|Initiate|Complete|Batch(Delete|Import))", action)
    }
    assert "ecr:PutImage" in pushes
    assert pushes <= actions("build")
    assert not pushes & actions("release")
    assert not pushes & actions("preview")
    assert {action.split(":")[0] for action in actions("build")} == {"ecr"}
    assert "build" not in GROUPS


def test_no_two_roles_share_a_subject() -> None:
    all_subjects = [s for kind in KINDS for s in subjects(kind, "example/teal", "prod", "main")]
    assert len(set(all_subjects)) == len(all_subjects)


def test_a_release_modifies_one_rule() -> None:
    (move,) = [s for s in statements("release") if "elasticloadbalancing:ModifyRule" in listed(s["Action"])]
    assert move["Resource"] == RULE
    assert move["Action"] == ["elasticloadbalancing:ModifyRule"]


def test_a_release_has_nothing_of_network_database_search_or_identity() -> None:
    services = {action.split(":")[0] for action in actions("release")}
    assert services == {"elasticloadbalancing", "eks", "ecr", "s3", "kms", "aps", "secretsmanager", "sns"}
    assert actions("release").isdisjoint(
        {"eks:UpdateClusterConfig", "s3:DeleteBucket", "s3:PutBucketPolicy", "ecr:DeleteRepository"}
    )
    assert not any("*" in action for action in actions("release"))


def test_a_release_reads_the_probes_secrets_and_no_other() -> None:
    reading = [s for s in statements("release") if "secretsmanager:GetSecretValue" in listed(s["Action"])]
    assert [s["Resource"] for s in reading] == [PROBES]
    (key,) = [s for s in statements("release") if s["Sid"] == "ProbeKey"]
    assert key["Condition"]["StringLike"] == {"kms:EncryptionContext:SecretARN": PROBES}
    rest = {a for s in statements("release") for a in listed(s["Action"]) if a.startswith("secretsmanager:")}
    assert rest == {"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"}


def test_a_release_may_publish_to_the_topics_of_its_notifications_and_use_their_keys_for_nothing_else() -> None:
    sent = [s for s in statements("release") if any(a.startswith("sns:") for a in listed(s["Action"]))]
    assert [(s["Action"], s["Resource"]) for s in sent] == [(["sns:Publish"], [TOPIC])]
    (key,) = [s for s in statements("release") if s["Sid"] == "NotifyKey"]
    assert key["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert key["Resource"] == ["arn:aws:kms:eu-west-1:111122223333:key/*"]
    assert key["Condition"]["StringEquals"] == {
        "kms:ViaService": ["sns.eu-west-1.amazonaws.com"],
        "kms:EncryptionContext:aws:sns:topicArn": [TOPIC],
    }


def test_a_stack_without_sns_notifications_gives_no_right_to_publish() -> None:
    (policy,) = [
        one
        for one in evaluate("platform", "prod").resources
        if one.type.endswith(":RolePolicy") and one.name == "delivery-release"
    ]
    assert "sns:" not in policy.inputs["policy"]


def test_a_release_writes_only_the_colors_state() -> None:
    written = [
        r for s in statements("release") if "s3:PutObject" in listed(s["Action"]) for r in listed(s["Resource"]) if "state" in r
    ]
    assert written
    assert all("/teal-service/prod-" in r for r in written)
    deleted = [r for s in statements("release") if "s3:DeleteObject" in listed(s["Action"]) for r in listed(s["Resource"])]
    assert all("/teal-service/prod-" in r for r in deleted)


def test_a_release_cannot_read_the_platform_s_secrets() -> None:
    aliases = {
        s["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"]
        for s in statements("release")
        if "ForAnyValue:StringEquals" in s.get("Condition", {})
    }
    assert aliases == {"alias/teal-prod-state-colors"}


def test_the_record_cannot_be_deleted_by_a_release() -> None:
    (record,) = [s for s in statements("release") if s["Sid"] == "Record"]
    assert "s3:DeleteObject" not in record["Action"]
    assert record["Resource"] == "arn:aws:s3:::teal-prod-releases/*"


def test_a_preview_writes_nothing() -> None:
    assert all(re.match(r"[a-z0-9]+:(Get|List|Describe|Decrypt|View)", action) for action in actions("preview"))


def test_a_preview_sees_how_things_are_set_up_and_nothing_that_is_in_them() -> None:
    forbidden = (
        "s3:GetObject", "secretsmanager:GetSecretValue", "logs:GetLogEvents", "logs:FilterLogEvents", "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage", "aps:QueryMetrics", "kms:Decrypt", "rds:DownloadDBLogFilePortion", "eks:AccessKubernetesApi",
    )  # fmt: skip
    for statement in statements("preview"):
        if statement["Sid"].startswith("State"):
            continue  # whoever may run a preview may read what is in the state
        for action in listed(statement["Action"]):
            assert not [each for each in forbidden if re.fullmatch(action.replace("*", ".*"), each)], statement["Sid"]


# The service that answers for a type, where it has another name than the type.
ASKED = {"lb": "elasticloadbalancing", "amp": "aps", "vpc": "ec2"}


@pytest.mark.parametrize("stack", STACKS)
def test_the_look_at_drift_may_read_every_kind_of_the_program_or_leaves_it_out(stack: Stack) -> None:
    read = {action.split(":")[0] for action in actions("preview")}
    workflow = (ROOT / ".github" / "workflows" / "drift.yml").read_text()
    left_out = re.findall(r"--exclude '\*\*(.*?)::\*\*'", workflow)
    assert sorted(left_out) == sorted(LEFT_OUT)
    kinds = {one.type for one in evaluate("platform", stack).resources}
    assert set(LEFT_OUT) <= kinds
    for kind in kinds - set(LEFT_OUT):
        if kind.startswith("aws:"):
            service = kind.split(":")[1].split("/")[0]
            assert ASKED.get(service, service) in read, kind


@pytest.mark.parametrize("kind", ["preview", "release", "up"])
def test_every_statement_names_resources_or_is_in_the_table_of_those_that_cannot(kind: str) -> None:
    for statement in statements(kind):
        if "*" in listed(statement["Resource"]):
            assert set(listed(statement["Action"])) <= {*UNLIMITED, *(UNLIMITED_UP if kind in ("up", "preview") else ())}, (
                statement["Sid"]
            )
        assert "*" not in listed(statement["Action"])


def test_the_platform_role_cannot_change_the_three_roles() -> None:
    (deny,) = [s for s in statements("up") if s["Sid"] == "NotItself"]
    assert deny["Resource"] == "arn:aws:iam::123456789012:role/teal-prod-github-*"
    assert {"iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole"} <= set(deny["Action"])


def test_the_platform_role_gives_rights_only_to_roles_that_can_never_make_an_administrator() -> None:
    giving = {
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "iam:AttachRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:UpdateAssumeRolePolicy",
    }
    giving |= {"iam:DeleteRolePolicy", "iam:DetachRolePolicy"}
    allowed = [s for s in statements("up") if s["Effect"] == "Allow" and giving & set(listed(s["Action"]))]
    assert [set(s["Action"]) for s in allowed] == [giving]
    assert allowed[0]["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary.arn(WHERE.account_id, WHERE.prefix)}}
    (deny,) = [s for s in statements("up") if s["Sid"] == "NotUnbound"]
    assert (deny["Effect"], deny["Action"]) == ("Deny", ["iam:DeleteRolePermissionsBoundary"])
    assert "iam:DeleteRolePermissionsBoundary" not in actions("up")


def test_the_platform_role_passes_roles_to_services_that_they_trust() -> None:
    (passing,) = [s for s in statements("up") if s["Effect"] == "Allow" and "iam:PassRole" in listed(s["Action"])]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": [*PASSED_TO]}}
    trusted = set()
    for stack in STACKS:
        for one in evaluate("platform", stack).resources:
            if one.type == "aws:iam/role:Role":
                for statement in json.loads(one.inputs["assumeRolePolicy"])["Statement"]:
                    trusted |= {statement["Principal"]["Service"]} if "Service" in statement["Principal"] else set()
    assert trusted == set(PASSED_TO)


def test_the_platform_role_can_neither_remove_nor_open_the_state() -> None:
    (deny,) = [s for s in statements("up") if s["Sid"] == "NotTheState"]
    assert deny["Effect"] == "Deny"
    assert deny["Resource"] == [f"arn:aws:s3:::{WHERE.state_bucket}", f"arn:aws:s3:::{WHERE.state_bucket}/*"]
    assert {"s3:DeleteBucket*", "s3:PutBucket*", "s3:DeleteObjectVersion"} <= set(deny["Action"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_fits_a_role(kind: str) -> None:
    (policy,) = [r for r in registered() if r.type == "aws:iam/rolePolicy:RolePolicy" and r.name == f"delivery-{kind}"]
    assert len(re.sub(r"\s", "", policy.inputs["policy"])) <= 10_240  # IAM: all inline policies of a role together
    assert len(role(kind)["name"]) <= 64


@cache
def operations(service: str) -> frozenset[str]:
    model = botocore.session.get_session().get_service_model(BOTOCORE_NAMES.get(service, service))
    return frozenset(model.operation_names)


def exists(action: str) -> bool:
    service, name = action.split(":")
    if "*" in name:
        pattern = re.compile(name.replace("*", ".*"))
        return any(pattern.fullmatch(operation) for operation in operations(service))
    return SAME_OPERATION.get(action, name) in operations(service)


@pytest.mark.parametrize("kind", KINDS)
def test_every_action_exists(kind: str) -> None:
    asked = actions(kind) - NOT_IN_BOTOCORE
    assert asked
    assert [action for action in sorted(asked) if not exists(action)] == []
    assert not exists("ec2:CreateNothing")


def test_images_keep_their_tags_are_scanned_encrypted_and_protected() -> None:
    (repository,) = [r for r in registered() if r.type == "aws:ecr/repository:Repository"]
    assert repository.protect
    assert repository.inputs["imageTagMutability"] == "IMMUTABLE"
    assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository.inputs["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": "arn:key:images"}]
    assert not repository.inputs["forceDelete"]


def test_no_rule_takes_the_image_that_runs_or_a_signature() -> None:
    # A rule sees tags and ages; every tag is a commit, released or not, and what has no tag is a signature.
    assert not [r for r in registered() if "lifecyclePolicy" in r.type]
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert '--tag "$repository:$GITHUB_SHA"' in workflow
    assert "released-" not in workflow


def test_roles_enter_the_cluster_by_group_without_any_cluster_policy() -> None:
    entries = {r.name: r.inputs["kubernetesGroups"] for r in registered() if r.type == "aws:eks/accessEntry:AccessEntry"}
    assert entries == {f"delivery-{kind}": [group] for kind, group in GROUPS.items()}
    assert not [r for r in registered() if "accessPolicyAssociation" in r.type]


def test_an_account_that_has_github_s_provider_keeps_it() -> None:
    def program() -> None:
        GithubRoles("github", GithubRolesArgs("teal-dev", "example/teal", "dev", provider_arn="arn:aws:iam::1:oidc-provider/x"))

    assert not [r for r in run(program) if "openIdConnectProvider" in r.type]


KUBERNETES = "kubernetes:"


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_can_try_every_kind_the_program_has_in_the_cluster_but_secrets(stack: Stack) -> None:
    allowed = {
        (group, resource)
        for rule in preview_access.preview_rbac_rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for one in evaluate("platform", stack).resources:
        if not one.type.startswith(KUBERNETES) or one.type == "kubernetes:helm.sh/v3:Release" or one.type.endswith(":Secret"):
            continue
        group, kind = one.type.removeprefix(KUBERNETES).split("/")[0], one.type.rsplit(":", 1)[1].lower()
        group = "" if group == "core" else f"{group}.k8s.io" if group == "admissionregistration" else group
        plural = {"networkpolicy": "networkpolicies", "storageclass": "storageclasses", "secretproviderclass": "secretproviderclasses",  # pragma: allowlist secret
                  "elasticsearch": "elasticsearches", "validatingadmissionpolicy": "validatingadmissionpolicies"}.get(kind, f"{kind}s")  # fmt: skip
        assert (group, plural) in allowed, one.type


def test_a_preview_reads_no_secret_deletes_nothing_and_opens_no_shell() -> None:
    for rule in preview_access.preview_rbac_rules():
        assert set(rule["verbs"]) <= {"get", "list", "watch", "create", "patch"}
        assert not {"secrets", "pods", "pods/exec", "*"} & set(rule["resources"])


def test_a_preview_may_only_look_at_the_rules_that_bind_it() -> None:
    """Kubernetes applies no admission policy to admission policies: a group that may patch them patches the rule away, and is then bound by
    nothing. Seen on a real API server: a pull request's preview became the cluster's administrator."""
    for rule in preview_access.preview_rbac_rules():
        if {"admissionregistration.k8s.io", "*"} & set(rule["apiGroups"]):
            assert set(rule["verbs"]) == {"get", "list", "watch"}
    tried = {
        (group, kind)
        for rule in preview_access.preview_rbac_rules()
        if "patch" in rule["verbs"]
        for group in rule["apiGroups"]
        for kind in rule["resources"]
    }
    assert not [kind for group, kind in tried if group == "admissionregistration.k8s.io"]


def test_a_preview_reads_search_s_certificate_because_the_program_does() -> None:
    assert preview_access.certificate_reader() == {
        "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["teal-es-http-certs-public"], "verbs": ["get"],
    }  # fmt: skip
    (role,) = [
        one for one in evaluate("platform", "prod").resources if one.type.endswith(":Role") and one.name == "preview-access"
    ]
    assert role.inputs["metadata"]["namespace"] == "teal-search"
    assert role.inputs["rules"] == [preview_access.certificate_reader()]


def test_a_preview_s_change_is_refused_unless_it_is_a_dry_run() -> None:
    spec = preview_access.only_try("teal:preview")
    assert spec["failurePolicy"] == "Fail"
    assert spec["validations"][0]["expression"] == "has(request.dryRun) && request.dryRun"
    assert "'teal:preview' in request.userInfo.groups" in spec["matchConditions"][0]["expression"]
    assert "DELETE" in spec["matchConstraints"]["resourceRules"][0]["operations"]


def test_the_rights_to_try_never_stand_without_the_rule() -> None:
    found = {one.type.rsplit(":", 1)[1]: one for one in evaluate("platform", "dev").resources if one.name == "preview-access"}
    rule = found["ValidatingAdmissionPolicyBinding"]
    assert found["ValidatingAdmissionPolicy"].urn in rule.depends_on
    assert rule.urn in found["ClusterRole"].depends_on
    assert rule.urn in found["ClusterRoleBinding"].depends_on


@pytest.mark.parametrize("stack", STACKS)
def test_the_look_at_drift_may_make_every_call_that_reading_a_type_takes(stack: Stack) -> None:
    kinds = {one.type for one in evaluate("platform", stack).resources if one.type.startswith("aws:")} - set(LEFT_OUT)
    assert kinds <= set(READ_CALLS), "write down what reading these takes"
    granted = sorted(actions("preview"))
    missing = {
        (kind, call)
        for kind in kinds
        for call in READ_CALLS[kind]
        if not any(fnmatch.fnmatchcase(call, pattern) for pattern in granted)
    }
    assert missing == set()
