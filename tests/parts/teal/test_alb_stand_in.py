"""The stand-in for a load balancer's traffic does what the tests on a node lean on (tests/services/alb.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
import pytest

from tests.services import alb, aws_server
from tests.services.alb import Alb
from tests.services.aws_server import AwsServer, LoadBalancer
from tests.services.http_stand_in import Handler, listening
from tests.services.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
DELAY_SECONDS: Final = 3
WAIT_SECONDS: Final = 20.0


@dataclass
class Pod:
    """A server at an address of its own. `go_on`: a stream says its first line, and the second one when this is set."""

    address: str
    ready: bool = True
    closes: bool = False
    served: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(pod: Pod, port: int) -> Iterator[None]:
    class App(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/readyz":
                self.answer(200 if pod.ready else 503)
            elif self.path == "/stream":
                self._stream()
            else:
                self._whole(pod.address.encode())

        def do_POST(self) -> None:
            self._whole(self.received())

        def _whole(self, body: bytes) -> None:
            pod.served += 1
            if pod.closes:
                self.close_connection = True
                return
            self.answer(body=body, x_saw=self.headers["X-Forwarded-For"])

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for text in (b"first\n", b"second\n"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                if text == b"first\n":
                    pod.go_on.wait(WAIT_SECONDS)
            self.wfile.write(b"0\r\n\r\n")

    with listening(App, pod.address, port):
        yield


@dataclass
class Scene:
    aws: AwsServer
    front: LoadBalancer
    alb: Alb
    pods: dict[str, Pod]
    port: int

    def register(self, color: str) -> None:
        target = {"Id": self.pods[color].address, "Port": self.port}
        self.aws.client("elbv2").register_targets(TargetGroupArn=self.front.target_group_arns[color], Targets=[target])

    def deregister(self, color: str) -> None:
        target = {"Id": self.pods[color].address}
        self.aws.client("elbv2").deregister_targets(TargetGroupArn=self.front.target_group_arns[color], Targets=[target])

    def weigh(self, blue: int, green: int, *, sticky: bool = False) -> None:
        groups = [
            {"TargetGroupArn": self.front.target_group_arns[color], "Weight": weight}
            for color, weight in (("blue", blue), ("green", green))
        ]
        config = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": sticky, "DurationSeconds": 60}}
        self.aws.client("elbv2").modify_rule(RuleArn=self.front.rule_arn, Actions=[{"Type": "forward", "ForwardConfig": config}])

    def health(self, color: str) -> str:
        arn = self.front.target_group_arns[color]
        (row,) = self.aws.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return str(row["TargetHealth"]["State"])

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, (self.alb.states, self.alb.own)
            time.sleep(0.05)


@pytest.fixture
def scene() -> Iterator[Scene]:
    pods = {"blue": Pod("127.0.0.2"), "green": Pod("127.0.0.3")}
    port = free_port()
    with ExitStack() as running:
        aws = running.enter_context(aws_server.start())
        front = aws_server.load_balancer(aws, "stand-in")
        elbv2 = aws.client("elbv2")
        for arn in front.target_group_arns.values():
            elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/readyz", HealthCheckIntervalSeconds=5,
                                      HealthCheckTimeoutSeconds=2, UnhealthyThresholdCount=2)  # fmt: skip
            delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(DELAY_SECONDS)}
            elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        for pod in pods.values():
            running.enter_context(serving(pod, port))
        made = Scene(aws, front, running.enter_context(alb.start(aws, front.listener_arn)), pods, port)
        for color in pods:
            made.register(color)
        made.wait(lambda: {made.health(color) for color in pods} == {"healthy"})
        yield made


def test_requests_are_shared_by_the_rules_weights_and_a_body_gets_through_whole(scene: Scene) -> None:
    scene.weigh(75, 25)
    with httpx.Client(base_url=scene.alb.url) as client:
        scene.wait(lambda: client.get("/").text == "127.0.0.3")  # it has seen the new weights
        found = [client.get("/").text for _ in range(400)]
        body = bytes(range(256)) * 2_000
        assert client.post("/", content=body).content == body
        assert client.get("/").headers["X-Saw"] == "127.0.0.1"
    assert 50 <= found.count("127.0.0.3") <= 150
    assert scene.alb.own == []


def test_a_sticky_rule_keeps_a_client_at_its_group(scene: Scene) -> None:
    scene.weigh(50, 50, sticky=True)
    with httpx.Client(base_url=scene.alb.url) as client:
        scene.wait(lambda: client.get("/").cookies)
        assert len({client.get("/").text for _ in range(20)}) == 1


def test_a_target_that_leaves_ends_its_stream_and_gets_nothing_new_and_one_that_takes_too_long_is_cut(scene: Scene) -> None:
    blue = scene.pods["blue"]
    with httpx.Client(base_url=scene.alb.url, timeout=WAIT_SECONDS) as client:
        with client.stream("GET", "/stream") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "first"
            scene.deregister("blue")
            scene.wait(lambda: client.get("/").status_code == 503)  # the rule gives everything to a group that has nobody left
            blue.go_on.set()
            assert list(lines) == ["second"]
        blue.go_on.clear()
        scene.register("blue")
        scene.wait(lambda: client.get("/").status_code == 200)
        with client.stream("GET", "/stream") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "first"
            scene.deregister("blue")
            with pytest.raises(httpx.HTTPError):
                list(lines)


def test_an_unhealthy_target_is_said_and_left_out_and_a_closed_connection_is_an_answer_of_its_own(scene: Scene) -> None:
    scene.pods["blue"].ready = False
    scene.wait(lambda: scene.health("blue") == "unhealthy")
    with httpx.Client(base_url=scene.alb.url) as client:
        assert client.get("/").status_code == 200, "with nobody healthy, all of them are asked"
        scene.pods["blue"].closes = True
        assert client.get("/").status_code == 502
    scene.wait(lambda: any(" 502 to /" in each for each in scene.alb.own))
