"""Traffic through an Application Load Balancer, against moto's ELBv2 behind a socket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.http import NOT_RELEASED
from teal.aws.traffic import Alb, AlbTrafficFailed, client_config
from teal.ports.traffic import Weights
from teal.record.model import Color
from tests.services import aws_server
from tests.services.aws_server import AwsServer, LoadBalancer


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server.start() as server:
        yield server


@pytest.fixture(scope="module")
def balancer(aws: AwsServer) -> LoadBalancer:
    return aws_server.load_balancer(aws, "alb")


@dataclass
class Watched:
    """A client whose calls are noted with what they carried."""

    client: Any
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls.append((name, arguments))
            return getattr(self.client, name)(**arguments)

        return call


def secret(color: Color) -> str:
    return f"header-of-{color}"


def alb(client: Any, balancer: LoadBalancer) -> Alb:
    groups: dict[Color, str] = {"blue": balancer.target_group_arns["blue"], "green": balancer.target_group_arns["green"]}
    return Alb(client, balancer.rule_arn, groups, "https://teal.example", "x-teal-probe", secret)


@pytest.fixture
def watched(aws: AwsServer) -> Watched:
    return Watched(aws.client("elbv2", client_config()))


@pytest.fixture
def traffic(watched: Watched, balancer: LoadBalancer) -> Alb:
    return alb(watched, balancer)


@pytest.mark.parametrize("blue", [100, 95, 75, 50, 0])
def test_shares_are_read_back_as_they_were_set(traffic: Alb, blue: int) -> None:
    traffic.set(Weights(blue, 100 - blue))
    assert traffic.read() == Weights(blue, 100 - blue)


def test_setting_is_one_change_of_one_rule_and_touches_nothing_else(
    aws: AwsServer, traffic: Alb, watched: Watched, balancer: LoadBalancer
) -> None:
    before = aws.client("elbv2").describe_listeners(ListenerArns=[balancer.listener_arn])["Listeners"]
    traffic.set(Weights(75, 25))
    assert [(name, call.get("RuleArn") or call["RuleArns"]) for name, call in watched.calls] == [
        ("modify_rule", balancer.rule_arn),
        ("describe_rules", [balancer.rule_arn]),
    ]
    assert "Conditions" not in watched.calls[0][1]
    assert aws.client("elbv2").describe_listeners(ListenerArns=[balancer.listener_arn])["Listeners"] == before


def test_no_share_sticks_to_a_browser(traffic: Alb, watched: Watched) -> None:
    traffic.set(Weights(50, 50))
    config = watched.calls[0][1]["Actions"][0]["ForwardConfig"]
    assert config["TargetGroupStickinessConfig"] == {"Enabled": False}


def test_a_check_that_fails_leaves_the_shares_as_they_were(traffic: Alb, watched: Watched) -> None:
    class Moved(Exception):
        pass

    def moved() -> None:
        raise Moved

    traffic.set(Weights(100, 0))
    watched.calls.clear()
    with pytest.raises(Moved):
        traffic.set(Weights(50, 50), check=moved)
    assert watched.calls == []
    assert traffic.read() == Weights(100, 0)


def test_every_try_is_checked_anew(aws: AwsServer, balancer: LoadBalancer) -> None:
    class Throttled(Watched):
        def __getattr__(self, name: str) -> Any:
            if name == "modify_rule" and not self.calls:
                self.calls.append((name, {}))
                raise ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "ModifyRule")
            return super().__getattr__(name)

    checks: list[int] = []
    traffic = alb(Throttled(aws.client("elbv2", client_config())), balancer)
    traffic.set(Weights(25, 75), check=lambda: checks.append(1))
    assert (len(checks), traffic.read()) == (2, Weights(25, 75))


def test_the_way_into_a_color_is_its_own_secret_header_and_stays_out_of_texts(traffic: Alb) -> None:
    assert traffic.entry("green").headers == {"x-teal-probe": "header-of-green"}
    assert traffic.entry("green").url == "https://teal.example"
    assert "header-of" not in repr(traffic)


def test_shares_set_by_hand_in_other_numbers_are_read_as_percent(aws: AwsServer, traffic: Alb, balancer: LoadBalancer) -> None:
    _by_hand(aws, balancer, {"blue": 1, "green": 3})
    assert traffic.read() == Weights(25, 75)


def test_the_page_before_the_first_release_is_read_as_all_to_blue(aws: AwsServer, traffic: Alb, balancer: LoadBalancer) -> None:
    page: Any = {"StatusCode": "503", "ContentType": "text/html", "MessageBody": NOT_RELEASED}
    aws.client("elbv2").modify_rule(RuleArn=balancer.rule_arn, Actions=[{"Type": "fixed-response", "FixedResponseConfig": page}])
    assert traffic.read() == Weights(100, 0)


def test_a_rule_that_was_edited_by_hand_is_said_in_words(aws: AwsServer, traffic: Alb, balancer: LoadBalancer) -> None:
    _by_hand(aws, balancer, {"blue": 0, "green": 0})
    with pytest.raises(AlbTrafficFailed, match="both shares are 0"):
        traffic.read()
    aws.client("elbv2").modify_rule(
        RuleArn=balancer.rule_arn, Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
    )
    with pytest.raises(AlbTrafficFailed, match="does not forward"):
        traffic.read()
    traffic.set(Weights(100, 0))  # a rollback works on any rule: it does not read first
    assert traffic.read() == Weights(100, 0)


def test_somebody_elses_change_between_setting_and_reading_back_is_an_error(aws: AwsServer, balancer: LoadBalancer) -> None:
    class Meddled(Watched):
        def __getattr__(self, name: str) -> Any:
            if name == "describe_rules":
                _by_hand(aws, balancer, {"blue": 10, "green": 90})
            return super().__getattr__(name)

    with pytest.raises(AlbTrafficFailed, match="blue 10 %, green 90 % after blue 100 %"):
        alb(Meddled(aws.client("elbv2")), balancer).set(Weights(100, 0))


def test_a_rule_that_is_gone_names_the_rule(aws: AwsServer, balancer: LoadBalancer) -> None:
    gone = LoadBalancer(balancer.listener_arn, balancer.rule_arn[:-4] + "0000", balancer.target_group_arns)
    with pytest.raises(AlbTrafficFailed, match=r"RuleNotFound") as caught:
        alb(aws.client("elbv2"), gone).set(Weights(100, 0))
    assert caught.value.where == gone.rule_arn


def test_an_aws_that_does_not_answer_is_given_up_before_the_fence_ends(balancer: LoadBalancer) -> None:
    from time import monotonic

    from tests.services.ports import free_port

    nobody = AwsServer(f"http://127.0.0.1:{free_port()}")
    began = monotonic()
    with pytest.raises(AlbTrafficFailed, match="Could not connect"):
        alb(nobody.client("elbv2", client_config()), balancer).set(Weights(100, 0))
    assert monotonic() - began < 10
    config = client_config()
    assert config.connect_timeout + config.read_timeout + 3 + 1 < 10  # type: ignore[attr-defined]


def _by_hand(aws: AwsServer, balancer: LoadBalancer, weights: dict[str, int]) -> None:
    groups = [{"TargetGroupArn": balancer.target_group_arns[color], "Weight": weight} for color, weight in weights.items()]
    aws.client("elbv2").modify_rule(
        RuleArn=balancer.rule_arn, Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
    )
