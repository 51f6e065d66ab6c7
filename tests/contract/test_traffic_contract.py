"""What both traffic adapters promise. Where they differ:

| | Caddy (laptop) | ALB (AWS) |
|---|---|---|
| a share takes effect | at the next request (a rename) | seconds after ModifyRule returns |
| fineness | 1/256 | 1/100 |
| a sleeper between check and effect | fails: its prepared link is gone | is called back by re-asserting until the fence has passed |
| both colors gone | 503 page of Caddy | fixed 503 page of the listener's default action |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from teal.aws.traffic import Alb, client_config
from teal.client.entry import ColorEndpoint
from teal.errors import OperatorError
from teal.laptop.traffic import CaddyTraffic
from teal.ports.traffic import Traffic, Weights, all_to, weights_after_shift
from teal.record.model import COLORS, Color
from tests.services import aws_server
from tests.services.aws_server import AwsServer, LoadBalancer

Open = Callable[[], Traffic]  # another releaser's view of the same load balancer


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server.start() as server:
        yield server


@pytest.fixture(scope="module")
def balancer(aws: AwsServer) -> LoadBalancer:
    return aws_server.load_balancer(aws, "contract")


@pytest.fixture(params=["caddy", "alb"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """One load balancer, opened as often as a test likes."""
    if request.param == "alb":
        aws: AwsServer = request.getfixturevalue("aws")
        balancer: LoadBalancer = request.getfixturevalue("balancer")
        groups: dict[Color, str] = {color: balancer.target_group_arns[color] for color in COLORS}
        return lambda: Alb(aws.client("elbv2", client_config()), balancer.rule_arn, groups, "https://localhost", "x-teal-probe",
                           lambda color: f"secret of {color}")  # fmt: skip
    entries = {color: ColorEndpoint("https://localhost:1", {"X-Teal-Probe": color}) for color in ("blue", "green")}
    return lambda: CaddyTraffic(tmp_path, entries)  # type: ignore[arg-type]


@pytest.mark.parametrize("percent", [0, 1, 5, 25, 50, 99, 100])
def test_what_was_set_is_what_is_read_by_anybody(opened: Open, percent: int) -> None:
    for weights in (weights_after_shift("green", percent), weights_after_shift("blue", percent)):
        opened().set(weights)
        assert opened().read() == weights


def test_setting_the_same_again_changes_nothing(opened: Open) -> None:
    traffic = opened()
    traffic.set(weights_after_shift("green", 5))
    traffic.set(weights_after_shift("green", 5))
    assert traffic.read() == Weights(95, 5)


def test_a_check_that_raises_leaves_the_shares_alone(opened: Open) -> None:
    traffic = opened()
    traffic.set(all_to("blue"))

    def fenced() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        traffic.set(all_to("green"), check=fenced)
    assert traffic.read() == all_to("blue")


def test_the_check_comes_before_the_effect(opened: Open) -> None:
    traffic = opened()
    traffic.set(all_to("blue"))
    seen: list[Weights] = []
    traffic.set(all_to("green"), check=lambda: seen.append(opened().read()))
    assert seen == [all_to("blue")]


def test_each_color_has_its_own_way_in(opened: Open) -> None:
    traffic = opened()
    assert traffic.entry("blue").headers != traffic.entry("green").headers


def test_a_set_overtaken_after_its_check_fails_and_the_later_one_stays(tmp_path: Path) -> None:
    """Caddy alone: the rename of a releaser that slept finds nothing to rename."""
    releaser, operator = CaddyTraffic(tmp_path, {}), CaddyTraffic(tmp_path, {})
    operator.set(weights_after_shift("green", 25))
    with pytest.raises(OperatorError):
        releaser.set(weights_after_shift("green", 50), check=lambda: operator.set(all_to("blue")))
    assert operator.read() == all_to("blue")
