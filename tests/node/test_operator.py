"""ECK's operator of the chart's version, with the platform's values: what it makes of the platform's Elasticsearch and Kibana."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from infra.platform.search import operator
from infra.platform.search.network import HTTP, KIBANA
from infra.platform.search.resources import CA_SECRET, NAME, NAMESPACE, URL
from tests.cluster.apiserver import Refused
from tests.node import eck
from tests.node.node import Node, await_true
from tests.unit.infra.conftest import Stack

pytestmark = pytest.mark.integration

MADE_SECONDS: Final = 120.0  # 5 s alone on two cores
SHORTER: Final = datetime.timedelta(hours=1)  # than asked: the operator counts from a moment before


@pytest.fixture(scope="module")
def with_operator(running_node: Node) -> Iterator[Node]:
    eck.install(running_node)
    yield running_node
    eck.uninstall(running_node)


@pytest.fixture(scope="module", params=eck.STACKS)
def accepted(with_operator: Node, request: pytest.FixtureRequest) -> Iterator[tuple[Node, Stack]]:
    """A stack's Elasticsearch and Kibana, until the operator has made a StatefulSet of the one and a Deployment of the other."""
    stack: Stack = request.param
    for document in eck.custom(stack).values():
        with_operator.server.apply(document, "administrator")
    yield with_operator, stack
    eck.remove(with_operator, stack)


def _await(node: Node, kind: str, name: str) -> dict[str, Any]:
    await_true(lambda: eck.read(node, kind, name), f"{kind} {name}", MADE_SECONDS)
    return eck.read(node, kind, name) or {}


def _await_own(node: Node, name: str) -> dict[str, Any]:
    """The StatefulSet of the Elasticsearch that is there now. The operator may have made one again for the stack before, which it had not
    yet seen to be gone; Kubernetes removes that one."""

    def own() -> bool:
        owner, made = eck.read(node, "Elasticsearch", NAME) or {}, eck.read(node, "StatefulSet", name) or {}
        return any(one["uid"] == owner["metadata"]["uid"] for one in made.get("metadata", {}).get("ownerReferences", ()))

    await_true(own, f"StatefulSet {name} of this Elasticsearch", MADE_SECONDS)
    return _await(node, "StatefulSet", name)


def test_the_operators_webhook_refuses_what_it_knows_to_be_wrong_and_no_stack_of_ours(with_operator: Node) -> None:
    # before one of them is there: the operator refuses some changes of what runs
    wrong = eck.custom("dev")["Elasticsearch"]
    wrong = {**wrong, "spec": {**wrong["spec"], "version": "6.0.0"}}
    await_true(
        lambda: _refusal(with_operator, wrong), "the webhook, which is passed over until it has its certificate", MADE_SECONDS
    )
    assert "version" in _refusal(with_operator, wrong)
    for stack in eck.STACKS:
        for document in eck.custom(stack).values():
            assert _refusal(with_operator, document) == ""


def test_what_the_platform_and_the_service_refer_to_is_what_the_operator_makes(accepted: tuple[Node, Stack]) -> None:
    node, stack = accepted
    asked = eck.custom(stack)["Elasticsearch"]["spec"]
    (nodes,) = asked["nodeSets"]
    made = _await_own(node, f"{NAME}-es-{nodes['name']}")
    pod = made["spec"]["template"]
    assert made["spec"]["replicas"] == nodes["count"]
    # network policies, disruption budgets and rules that keep pods apart select by these
    assert pod["metadata"]["labels"].items() >= {
        "common.k8s.elastic.co/type": "elasticsearch", "elasticsearch.k8s.elastic.co/cluster-name": NAME,
    }.items()  # fmt: skip
    (container,) = pod["spec"]["containers"]
    (asked_container,) = nodes["podTemplate"]["spec"]["containers"]
    assert container["resources"] == asked_container["resources"]
    assert container["securityContext"].items() >= asked_container["securityContext"].items()
    budget = _await(node, "PodDisruptionBudget", f"{NAME}-es-default")["spec"]
    if nodes["count"] == 1:
        assert budget["maxUnavailable"] == 1  # as asked: its machine has to be replaced some day
    else:
        assert budget["minAvailable"] == nodes["count"]  # the operator's own: none may go while search is not green
    service = _await(node, "Service", urlsplit(URL).hostname.split(".")[0])  # type: ignore[union-attr]
    assert [port["port"] for port in service["spec"]["ports"]] == [HTTP]
    kibana = _await(node, "Service", f"{NAME}-kb-http")
    assert [port["port"] for port in kibana["spec"]["ports"]] == [KIBANA]


def test_the_pods_that_the_operator_makes_are_let_in_under_the_strictest_rules(accepted: tuple[Node, Stack]) -> None:
    node, _ = accepted
    namespace = node.server.ask("GET", f"/api/v1/namespaces/{NAMESPACE}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for made in (_await_own(node, f"{NAME}-es-default"), _await(node, "Deployment", f"{NAME}-kb")):
        spec = made["spec"]["template"]["spec"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried", "namespace": NAMESPACE}, "spec": spec}
        node.server.create(pod, dry_run=True)
        spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        with pytest.raises(Refused, match="allowPrivilegeEscalation"):
            node.server.create(pod, dry_run=True)


def test_the_certificate_names_the_address_that_pods_are_told_and_its_authority_lasts_as_long_as_the_platform_says(
    accepted: tuple[Node, Stack],
) -> None:
    node, _ = accepted
    held = _await(node, "Secret", CA_SECRET)["data"]
    certificate, authority = (x509.load_pem_x509_certificate(base64.b64decode(held[name])) for name in ("tls.crt", "ca.crt"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert urlsplit(URL).hostname in names
    lasts = authority.not_valid_after_utc - authority.not_valid_before_utc
    assert lasts >= datetime.timedelta(hours=operator.CA_HOURS) - SHORTER


def _refusal(node: Node, document: dict[str, Any]) -> str:
    """What is said against the object, or nothing."""
    try:
        node.server.apply(document, "administrator", dry_run=True)
    except Refused as refused:
        return str(refused)
    return ""
