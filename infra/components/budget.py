"""The month's budget: who hears when it is nearly spent, spent, or will be. Cost: the first two budgets of an account are free."""

from __future__ import annotations

import pulumi
from pulumi_aws import budgets

from infra.alerts import BUDGET


def create(
    prefix: str, budget_usd: int, topic_arn: pulumi.Input[str], parent: pulumi.Resource, ready: pulumi.Resource
) -> budgets.Budget:
    """A monthly cost budget of the whole account, with its messages on the topic. `ready`: what lets Budgets publish there.

    Not filtered by tag: AWS knows a tag in bills only after somebody has activated it by hand, and until then would report 0.
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
        notifications=[notification("ACTUAL", BUDGET.threshold), notification("ACTUAL", 100), notification("FORECASTED", 100)],
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[ready]),
    )
