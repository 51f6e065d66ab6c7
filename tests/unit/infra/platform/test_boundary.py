"""AWS' own policies that the bounded roles have stay within the boundary, but for what is left out on purpose."""

from __future__ import annotations

import functools

import pytest

from infra.delivery.reach import EVERYTHING, Account, IamRole, is_allowed
from infra.delivery.reach_table import account_of
from tests.unit.infra.conftest import STACKS, Stack, evaluate, of_type

# The policies as AWS published them, opened in zoph-io/MAMIP, a daily copy of them all: policies/NAME at 0387244e53a3 (7 March 2026).
AGENT, MONITORING, NODE, PULL = (
    "CloudWatchAgentServerPolicy",  # version 3
    "service-role/AmazonRDSEnhancedMonitoringRole",  # version 1
    "AmazonEKSWorkerNodeMinimalPolicy",  # version 1
    "AmazonEC2ContainerRegistryPullOnly",  # version 1
)
REGION, ACCOUNT = "eu-central-1", "123456789012"
GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"
# Each policy's actions, with a resource as the role meets it in our stack.
GRANTED = {
    AGENT: {
        "*": (
            "cloudwatch:PutMetricData", "ec2:DescribeVolumes", "ec2:DescribeTags", "logs:DescribeLogGroups", "xray:PutTraceSegments",
            "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries",
        ),
        f"{GROUP}:/aws/containerinsights/teal-STACK/application:log-stream:1": (
            "logs:PutLogEvents", "logs:PutRetentionPolicy", "logs:DescribeLogStreams", "logs:CreateLogStream", "logs:CreateLogGroup",
        ),
    },
    MONITORING: {
        f"{GROUP}:RDSOSMetrics": ("logs:CreateLogGroup", "logs:PutRetentionPolicy"),
        f"{GROUP}:RDSOSMetrics:log-stream:1": ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents"),
    },
    NODE: {"*": ("eks-auth:AssumeRoleForPodIdentity",)},
    PULL: {
        "*": ("ecr:GetAuthorizationToken",),
        f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/teal-STACK": ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
    },
}  # fmt: skip
# What the policies grant and no role of ours needs.
LEFT_OUT = {
    "ssm:GetParameter": "CloudWatchAgentServerPolicy has it for an agent's configuration in SSM; the add-on's comes from the cluster",
    "ecr:BatchImportUpstreamImage": "AmazonEC2ContainerRegistryPullOnly has it for pull-through caches, of which there are none",
}  # fmt: skip
# Opened in the same copy in November 2026, newest versions: 9, 5 (of 12 February 2026), 1, 4, 3. Only EKS may take the role that has them.
UNBOUNDED_HAVE = ("AmazonEKSClusterPolicy", "AmazonEKSComputePolicy", "AmazonEKSBlockStoragePolicy", "AmazonEKSLoadBalancingPolicy",
                  "AmazonEKSNetworkingPolicy")  # fmt: skip


@functools.cache
def account(stack: Stack) -> Account:
    return account_of(evaluate("platform", stack), stack)


@pytest.mark.parametrize("stack", STACKS)
def test_every_policy_of_aws_that_a_role_has_is_one_whose_text_was_read(stack: Stack) -> None:
    attached = {
        str(one.inputs["policyArn"]).removeprefix("arn:aws:iam::aws:policy/")
        for one in of_type(evaluate("platform", stack), "aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if str(one.inputs["policyArn"]).startswith("arn:aws:iam::aws:policy/")
    }
    assert attached <= {*GRANTED, *UNBOUNDED_HAVE}, "read the new one's text, and name its actions here"


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("policy", GRANTED)
def test_what_a_policy_of_aws_grants_is_within_the_boundary(stack: Stack, policy: str) -> None:
    (bound,) = account(stack).boundaries
    bounded = IamRole(f"arn:aws:iam::{ACCOUNT}:role/teal-{stack}-any", policies=(EVERYTHING,), boundary=bound)
    for resource, actions in GRANTED[policy].items():
        for action in actions:
            assert is_allowed(account(stack), bounded, action, resource.replace("STACK", stack)), f"{policy}: {action}"


@pytest.mark.parametrize("stack", STACKS)
def test_what_no_role_needs_of_them_is_outside(stack: Stack) -> None:
    (bound,) = account(stack).boundaries
    bounded = IamRole(f"arn:aws:iam::{ACCOUNT}:role/teal-{stack}-any", policies=(EVERYTHING,), boundary=bound)
    for action in LEFT_OUT:
        assert not is_allowed(account(stack), bounded, action, "*"), action
