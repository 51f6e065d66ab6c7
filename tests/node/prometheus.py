"""A real Prometheus on the node, in the place of Amazon's managed one: the platform's own scrape configuration and rule file, with the rights that
AWS gives its collector.

Changed, and nothing else: the API server's address and the token, which on AWS the collector has by itself, and how often pods are scraped.
Everybody may ask it; AWS' asks for a signature. Its web page has no files, because they are generated and not in the Go module.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import yaml

from infra.observability.prometheus import scrape_configuration
from infra.observability.prometheus_rules import rules_yaml
from tests.node.node import Node, await_true, process
from tests.services.go_tools import tool

NAME: Final = "prometheus"
SCRAPE_SECONDS: Final = 3  # 30 on AWS
_URL: Final = "http://127.0.0.1:9090"  # in the machine's own network, where nothing else is
_NAMESPACE, _ACCOUNT = "kube-system", "collector"
_TOKEN_SECONDS: Final = 4 * 3_600
_READ: Final = ("get", "list", "watch")
# Of AWS' user guide (Managed Prometheus, "Manually configuring an Amazon EKS cluster for access", role aps-collector-role): what its collector may do.
_RIGHTS: Final = (
    {
        "apiGroups": [""], "verbs": ["describe", *_READ],
        "resources": ["nodes", "nodes/proxy", "nodes/metrics", "services", "endpoints", "pods", "ingresses", "configmaps"],
    },
    {"apiGroups": ["extensions", "networking.k8s.io"], "resources": ["ingresses/status", "ingresses"], "verbs": ["describe", *_READ]},
    {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
)  # fmt: skip


@dataclass(frozen=True)
class Prometheus:
    """Asked from the network of the node."""

    url: str

    @property
    def query_url(self) -> str:
        """What the platform's output `prometheus_query_url` is on AWS."""
        return f"{self.url}/api/v1/query"

    def ask(self, what: str, **parameters: str) -> Any:
        """The data of an answer of its API. Raises httpx.HTTPStatusError."""
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()["data"]

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Of an instant query: each with `metric` and `value`."""
        found: list[dict[str, Any]] = self.ask("query", query=query)["result"]
        return found

    def value(self, query: str) -> float | None:
        """The only value, or None where there is no series."""
        found = self.rows(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def targets(self) -> dict[str, list[dict[str, Any]]]:
        """What is scraped, by job."""
        found: dict[str, list[dict[str, Any]]] = {}
        for one in self.ask("targets", state="active")["activeTargets"]:
            found.setdefault(one["scrapePool"], []).append(one)
        return found

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def raised(self) -> list[dict[str, Any]]:
        """Each alert that is pending or firing, with `labels`, `annotations` and `state`."""
        found: list[dict[str, Any]] = self.ask("alerts")["alerts"]
        return found

    def alerts(self) -> dict[str, str]:
        """The state of each alert that is pending or firing."""
        return {one["labels"]["alertname"]: one["state"] for one in self.raised()}


@contextmanager
def start(node: Node, rules: str = "") -> Iterator[Prometheus]:
    """In the node's network, until the block ends. `rules`: a rule file in the place of the platform's."""
    token = _collector(node)
    home = node.machine.folder / NAME  # both sides see it
    shutil.rmtree(home, ignore_errors=True)  # of one before
    home.mkdir()
    (home / "rules.yaml").write_text(rules or rules_yaml())
    (home / "prometheus.yaml").write_text(yaml.safe_dump(configuration(node.server.url, str(node.server.ca), token)))
    command = [
        str(tool(NAME)), f"--config.file={home}/prometheus.yaml", f"--storage.tsdb.path={home}/data",
        f"--web.listen-address={_URL.removeprefix('http://')}",
    ]  # fmt: skip
    with ExitStack() as running:
        process(node.machine, NAME, command, running)
        found = Prometheus(_URL)
        await_true(lambda: _ready(found), NAME)
        yield found


def configuration(server: str, ca: str, token: str) -> dict[str, Any]:
    """The platform's, for this API server, and more often."""
    made = scrape_configuration()
    made["global"] |= {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
    for job in made["scrape_configs"]:
        access: Mapping[str, Any] = {
            "api_server": server, "tls_config": {"ca_file": ca}, "authorization": {"credentials": token},
        }  # fmt: skip
        job["kubernetes_sd_configs"] = [{**one, **access} for one in job["kubernetes_sd_configs"]]
    return {**made, "rule_files": ["rules.yaml"]}


def sooner(held_seconds_per_minute: float = 60.0) -> str:
    """The platform's rule file, judged as often as pods are scraped here. `held_seconds_per_minute`: in the place of each minute that a condition
    must hold before its alert fires."""
    made = yaml.safe_load(rules_yaml())
    for group in made["groups"]:
        group["interval"] = f"{SCRAPE_SECONDS}s"
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = f"{float(rule['for'].removesuffix('m')) * held_seconds_per_minute:.0f}s"
    return yaml.safe_dump(made, sort_keys=False)


def _collector(node: Node) -> str:
    """The token of a user with the collector's rights and no other."""
    server, api = node.server, "rbac.authorization.k8s.io/v1"
    account = {"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": _NAMESPACE}
    role = {"apiGroup": api.partition("/")[0], "kind": "ClusterRole", "name": _ACCOUNT}
    for document in (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ACCOUNT, "namespace": _NAMESPACE}},
        {"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": _ACCOUNT}, "rules": _RIGHTS},
        {"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": {"name": _ACCOUNT}, "roleRef": role, "subjects": [account]},
    ):
        server.apply(document, "tests")
    return server.token(_NAMESPACE, _ACCOUNT, _TOKEN_SECONDS)


def _ready(prometheus: Prometheus) -> bool:
    try:
        return httpx.get(f"{prometheus.url}/-/ready", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False
