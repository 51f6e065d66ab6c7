"""The monthly budget, with messages when it is nearly spent, spent, or forecast to be.
Cost: an account's first two budgets are free."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_aws import budgets

from contract.names import STACK_TAG
from infra.observability.alerts import BUDGET

# EKS user guide, "Tagging your resources" (awsdocs/amazon-eks-user-guide, clusters/management/eks-using-tags.adoc): on every EC2 instance of a
# cluster, and not on the control plane. That disks and Auto Mode's fee carry it too is unverified: Cost Explorer by that tag shows it after a day.
CLUSTER_TAG: Final = "aws:eks:cluster-name"


def create_budget(
    prefix: str, budget_usd: int, topic_arn: pulumi.Input[str], parent: pulumi.Resource, ready: pulumi.Resource
) -> budgets.Budget:
    """A monthly cost budget of this stack, which sends its messages to the topic.
    `ready`: resources that let Budgets publish there.

    It filters by the stack's tag, so that two stacks of an account do not count each other's costs, and by the tag that EKS puts
    on its cluster's machines: Auto Mode's machines, disks and fee do not have the stack's tag, and are 44 % of what dev costs.
    AWS counts a tag in bills only after a person has activated it (possible a day after the first `up`; in an organization by the
    paying account), and reports 0 until then:
    `aws ce update-cost-allocation-tags-status --cost-allocation-tags-status TagKey=teal:stack,Status=Active TagKey=aws:eks:cluster-name,Status=Active`.
    """

    def notification(kind: str, percent: float) -> budgets.BudgetNotificationArgsDict:
        return {
            "comparison_operator": "GREATER_THAN",
            "notification_type": kind,
            "threshold": percent,
            "threshold_type": "PERCENTAGE",
            "subscriber_sns_topic_arns": [topic_arn],
        }

    return budgets.Budget(
        f"{prefix}-{BUDGET.name}",
        name=f"{prefix}-{BUDGET.runbook}",
        budget_type="COST",
        time_unit="MONTHLY",
        limit_amount=str(budget_usd),
        limit_unit="USD",
        cost_filters=[
            {"name": "TagKeyValue", "values": [f"user:{STACK_TAG}${prefix.removeprefix('teal-')}", f"{CLUSTER_TAG}${prefix}"]}
        ],
        notifications=[notification("ACTUAL", BUDGET.threshold), notification("ACTUAL", 100), notification("FORECASTED", 100)],
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[ready]),
    )
