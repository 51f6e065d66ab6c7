"""Work that no metric asks for is asked for by the calendar, and the message arrives."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra.delivery.reach import is_allowed
from infra.delivery.reach_table import account_of
from infra.evaluation.evaluate import Evaluation
from infra.observability.reminders import REMINDERS, Reminder
from infra.platform.stores.database import ROTATION_DAYS
from tests.unit.infra.conftest import Stack, of_type

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("reminder", REMINDERS, ids=lambda one: one.name)
def test_a_reminder_names_a_page_that_exists(reminder: Reminder) -> None:
    assert (ROOT / "runbooks" / f"{reminder.runbook}.md").is_file()
    assert reminder.message.endswith(f"runbooks/{reminder.runbook}.md")


def test_the_password_is_asked_for_at_least_twice_before_it_rotates_itself() -> None:
    (one,) = [each for each in REMINDERS if each.runbook == "secret-rotation"]
    assert re.fullmatch(r"cron\(\d+ \d+ \d+ \d+ \? \*\)", one.schedule), "each year, on one day"
    assert ROTATION_DAYS >= 2 * 366


def test_a_reminder_reaches_the_topic_of_the_alerts_by_a_role_that_may_publish_there(platform: Evaluation, stack: Stack) -> None:
    made = of_type(platform, "aws:scheduler/schedule:Schedule")
    assert len(made) == len(REMINDERS)
    account, topic = account_of(platform, stack), platform.outputs["topic_arn"]
    (key,) = [one for one in of_type(platform, "aws:sns/topic:Topic") if one.name.endswith("-alerts")]
    for one in made:
        target = one.inputs["target"]
        said = json.loads(target["input"])
        assert said["TopicArn"] == topic
        assert len(said["Subject"]) <= 100  # SNS's limit
        role = account.roles[target["roleArn"]]
        assert is_allowed(account, role, "sns:Publish", topic)
        assert is_allowed(account, role, "kms:GenerateDataKey", key.inputs["kmsMasterKeyId"])
        assert not is_allowed(account, role, "sns:Publish", f"{topic}-other")
