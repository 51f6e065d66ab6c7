"""Search: keeps its disks, spreads over zones, knows its users, and proves that it can write snapshots."""

from __future__ import annotations

import http.server
import inspect
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
import pytest
from elasticsearch import Elasticsearch

from infra.components import search_setup as setup
from infra.components import search_users as users
from infra.components.search import Search, SearchArgs
from infra.components.search_cluster import LARGEST_HEAP_MIB, NAMESPACE, SERVICE_ACCOUNT, heap_mib, zones
from infra.components.search_network import policies
from infra.components.search_snapshots import policy, trust
from infra.sections import SearchConfig
from tests.conftest import require
from tests.infra.mocks import Registered, run

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
ISSUER = "oidc.example/id/1"
ELASTICSEARCH = "kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch"


def registered(config: SearchConfig, network_zones: int = 3) -> list[Registered]:
    def program() -> None:
        import pulumi_kubernetes

        provider = pulumi_kubernetes.Provider("cluster", kubeconfig="{}")
        args = SearchArgs(
            prefix="teal-prod",
            region="eu-central-1",
            account_id="123456789012",
            config=config,
            network_zones=network_zones,
            storage_class="gp3",
            kms_key_arn=KEY,
            oidc_provider_arn="arn:aws:iam::123456789012:oidc-provider/oidc.example",
            oidc_issuer=ISSUER,
            provider=provider,
            client_namespaces=["teal-blue", "teal-green"],
        )
        Search("search", args, pulumi.ResourceOptions())

    return run(program)


def only(found: list[Registered], kind: str) -> Registered:
    (one,) = [each for each in found if each.type == kind]
    return one


def nodes(config: SearchConfig, network_zones: int = 3) -> Mapping[str, Any]:
    spec = only(registered(config, network_zones), ELASTICSEARCH).inputs["spec"]
    (one,) = spec["nodeSets"]
    return one


@pytest.mark.parametrize(
    ("memory_gib", "mib"), [(2, 1024), (4, 2048), (16, 8192), (62, LARGEST_HEAP_MIB), (64, LARGEST_HEAP_MIB)]
)
def test_heap_is_half_of_memory_and_never_past_short_pointers(memory_gib: int, mib: int) -> None:
    assert heap_mib(memory_gib) == mib
    (container,) = nodes(SearchConfig(memory_gib=memory_gib))["podTemplate"]["spec"]["containers"]
    assert {"name": "ES_JAVA_OPTS", "value": f"-Xms{mib}m -Xmx{mib}m"} in container["env"]
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"] == f"{memory_gib}Gi"


@pytest.mark.parametrize(
    ("config", "network_zones", "expected"),
    [
        (SearchConfig(nodes=1, replicas=0), 3, 1),
        (SearchConfig(nodes=3), 2, 2),
        (SearchConfig(nodes=3), 3, 3),
        (SearchConfig(nodes=6, zones=2), 3, 2),
    ],
)
def test_nodes_fill_the_zones_there_are(config: SearchConfig, network_zones: int, expected: int) -> None:
    assert zones(config, network_zones) == expected
    assert ("zoneAwareness" in nodes(config, network_zones)) == (expected > 1)


def test_one_node_may_leave_its_machine_and_three_never_share_one() -> None:
    alone = only(registered(SearchConfig(nodes=1, replicas=0)), ELASTICSEARCH).inputs["spec"]
    three = only(registered(SearchConfig(nodes=3)), ELASTICSEARCH).inputs["spec"]
    assert alone["podDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert "podDisruptionBudget" not in three  # ECK's own: one at a time, only while green
    (apart,) = three["nodeSets"][0]["podTemplate"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["topologyKey"] == "kubernetes.io/hostname"


def test_disks_outlive_the_cluster_and_its_pods() -> None:
    made = only(registered(SearchConfig(storage_gib=100)), ELASTICSEARCH)
    assert made.protect
    assert made.inputs["spec"]["volumeClaimDeletePolicy"] == "DeleteOnScaledownOnly"
    (claim,) = made.inputs["spec"]["nodeSets"][0]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "elasticsearch-data"
    assert claim["spec"]["storageClassName"] == "gp3"
    assert claim["spec"]["resources"]["requests"]["storage"] == "100Gi"


def test_the_token_lies_where_elasticsearch_819_reads_it() -> None:
    spec = nodes(SearchConfig())["podTemplate"]["spec"]
    (container,) = spec["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    (mount,) = container["volumeMounts"]
    (volume,) = spec["volumes"]
    (source,) = volume["projected"]["sources"]
    assert environment["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
    assert environment["AWS_WEB_IDENTITY_TOKEN_FILE"].endswith("/config/repository-s3/aws-web-identity-token-file")
    assert environment["AWS_ROLE_ARN"].startswith("arn:aws:iam::")
    assert spec["serviceAccountName"] == SERVICE_ACCOUNT


def test_only_elasticsearchs_own_service_account_reaches_the_snapshots() -> None:
    (statement,) = json.loads(trust("arn:provider", ISSUER))["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        f"{ISSUER}:aud": "sts.amazonaws.com",
        f"{ISSUER}:sub": f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}",
    }
    reached = {one["Resource"] for one in policy("arn:aws:s3:::b", KEY)["Statement"]}
    assert reached == {"arn:aws:s3:::b", f"arn:aws:s3:::b/{setup.BASE_PATH}/*", KEY}


def test_nobody_but_the_colors_and_the_operator_asks_search() -> None:
    said = policies(NAMESPACE, ["teal-blue", "teal-green"])
    asking = said["elasticsearch"]["ingress"][0]["from"]
    named = [
        one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in asking if "namespaceSelector" in one
    ]
    assert named == ["teal-blue", "teal-green", "elastic-system"]
    assert said["default"]["podSelector"] == {}
    assert "ingress" not in said["default"]


def test_the_services_user_stays_within_its_indices_and_cannot_snapshot() -> None:
    role = users.roles()[users.APP]
    assert [one["names"] for one in role["indices"]] == [["teal*"]]
    assert set(role["cluster"]) == {"monitor", "manage_index_templates"}
    for name in (users.APP, users.OPERATOR, users.SETUP):
        assert not {"all", "manage", "manage_security"} & set(users.roles()[name]["cluster"])


def test_a_users_password_is_the_same_in_the_cluster_and_in_secrets_manager() -> None:
    found = registered(SearchConfig())
    written = {
        one.name: json.loads(one.inputs["secretString"])
        for one in found
        if one.type == "aws:secretsmanager/secretVersion:SecretVersion"
    }
    inside = {
        one.inputs["stringData"]["username"]: one.inputs["stringData"]
        for one in found
        if one.type == "kubernetes:core/v1:Secret" and "username" in one.inputs.get("stringData", {})
    }
    assert set(written) == {f"search-{users.APP}", f"search-{users.OPERATOR}"}  # nobody needs the set-up user outside
    for user in (users.APP, users.OPERATOR):
        assert written[f"search-{user}"]["password"] == inside[user]["password"]
        assert inside[user]["roles"] == user
        assert inside[user]["password"].isalnum()


def test_definitions_come_before_resources_and_the_setup_last() -> None:
    found = registered(SearchConfig())
    place = {(one.type, one.name): number for number, one in enumerate(found)}
    release = only(found, "kubernetes:helm.sh/v3:Release")
    cluster, job = only(found, ELASTICSEARCH), only(found, "kubernetes:batch/v1:Job")
    assert release.protect  # removing it removes the definitions, and with them every cluster
    assert place[release.type, release.name] < place[cluster.type, cluster.name] < place[job.type, job.name]
    assert release.urn in cluster.depends_on
    assert cluster.urn in job.depends_on


def test_another_content_is_another_job() -> None:
    first = setup.files(setup.requests(SearchConfig(), "b"))
    assert setup.job_name(first, "8.19.21") == setup.job_name(setup.files(setup.requests(SearchConfig(), "b")), "8.19.21")
    changed = setup.files(setup.requests(SearchConfig(refresh_interval="5s"), "b"))
    assert setup.job_name(first, "8.19.21") != setup.job_name(changed, "8.19.21")


def test_every_body_has_only_names_that_elasticsearchs_client_knows() -> None:
    client = Elasticsearch("http://127.0.0.1:9")
    sent = {one.path.split("?")[0]: one for one in setup.requests(SearchConfig(), "b")}
    for path, method in (
        ("/_slm/policy/teal", client.slm.put_lifecycle),
        ("/_ilm/policy/teal-passages", client.ilm.put_lifecycle),
        ("/_index_template/teal-defaults", client.indices.put_index_template),
    ):
        body = sent[path].body
        assert body
        assert set(body) <= set(inspect.signature(method).parameters), path
    repository = sent["/_snapshot/teal"].body
    assert repository
    assert repository["type"] == "s3"
    assert set(repository) == {"type", "settings"}


def test_snapshots_are_pruned_as_configured_and_never_the_last_ones() -> None:
    said = SearchConfig.model_validate({"snapshot": {"schedule": "0 0 2 * * ?", "keep_days": 7, "min_count": 5, "max_count": 50}})
    body = setup.snapshot_policy(said)
    assert body["retention"] == {"expire_after": "7d", "min_count": 5, "max_count": 50}
    assert body["config"]["partial"] is False


def test_passages_are_never_deleted_by_age() -> None:
    assert set(setup.lifecycle_policy()["policy"]["phases"]) == {"hot"}
    assert "rollover" not in json.dumps(setup.lifecycle_policy())


@pytest.mark.integration
def test_a_real_elasticsearch_accepts_template_and_settings(elasticsearch_url: str) -> None:
    client = Elasticsearch(elasticsearch_url)
    body = setup.template(SearchConfig(replicas=0))
    del body["template"]["settings"]["index"]["lifecycle"]  # the distribution for tests has no ILM
    client.indices.put_index_template(name="teal-defaults", body=body)
    try:
        client.indices.create(index="teal-restored-1")
        settings = client.indices.get_settings(index="teal-restored-1")["teal-restored-1"]["settings"]["index"]
        assert (settings["number_of_replicas"], settings["refresh_interval"]) == ("0", "1s")
        changed = setup.settings(SearchConfig(replicas=0, refresh_interval="7s"))
        del changed["index"]["lifecycle"]
        client.indices.put_settings(index="teal-restored-1", settings=changed["index"])
        after = client.indices.get_settings(index="teal-restored-1")["teal-restored-1"]["settings"]["index"]
        assert after["refresh_interval"] == "7s"
    finally:
        client.indices.delete(index="teal-restored-1")
        client.indices.delete_index_template(name="teal-defaults")


class Recorder(http.server.BaseHTTPRequestHandler):
    """Says no to the first health request, and to `refuses`; keeps what was sent."""

    seen: list[tuple[str, str, Any]]
    refuses: str

    def do_GET(self) -> None:
        self.seen.append(("GET", self.path, None))
        self._answer(503 if len(self.seen) == 1 else 200)

    def do_PUT(self) -> None:
        self._change()

    def do_POST(self) -> None:
        self._change()

    def _change(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, json.loads(text) if text else None))
        self._answer(400 if self.refuses and self.refuses in self.path else 200)

    def _answer(self, status: int) -> None:
        ok = self.headers["Authorization"] == "Basic dGVhbC1zZXR1cDpwYXNz"  # teal-setup:pass
        self.send_response(status if ok else 401)
        self.end_headers()
        self.wfile.write(b'{"said": "by the stand-in"}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def recorder(refuses: str = "") -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    seen: list[tuple[str, str, Any]] = []
    handler = type("Own", (Recorder,), {"seen": seen, "refuses": refuses})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_script(url: str, folder: Path, wait_tries: str = "50") -> subprocess.CompletedProcess[str]:
    require("curl", "apt-get install curl.", shutil.which("curl") is not None)
    for name, text in setup.files(setup.requests(SearchConfig(), "bucket")).items():
        (folder / name).write_text(text)
    environment = {
        "PATH": os.environ["PATH"], "URL": url, "CA": "/dev/null", "USERNAME": "teal-setup", "PASSWORD": "pass",
        "REQUESTS": str(folder / "requests"), "WAIT_SECONDS": "0.05", "WAIT_TRIES": wait_tries, "TMPDIR": str(folder),
    }  # fmt: skip
    return subprocess.run(
        ["/bin/sh", str(folder / "run.sh")], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.integration
def test_the_script_waits_and_sends_every_request_in_order(tmp_path: Path) -> None:
    with recorder() as (url, seen):
        done = run_script(url, tmp_path)
    assert done.returncode == 0, done.stderr
    sent = [(one.method, one.path, one.body) for one in setup.requests(SearchConfig(), "bucket")]
    health = [method for method, path, _ in seen if path.startswith("/_cluster/health")]
    assert len(health) == 2  # refused once, then ready
    assert seen[2:] == sent
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")) == []  # no password stays behind


@pytest.mark.integration
def test_the_script_stops_at_the_first_refusal_and_shows_it(tmp_path: Path) -> None:
    with recorder(refuses="_verify") as (url, seen):
        done = run_script(url, tmp_path)
    assert done.returncode == 1
    assert "refused: POST /_snapshot/teal/_verify" in done.stderr
    assert "by the stand-in" in done.stdout
    assert not [path for _, path, _ in seen if "_slm" in path]
    assert "pass" not in done.stderr.replace("passages", "")


@pytest.mark.integration
def test_the_script_gives_up_with_a_reason_when_nobody_answers(tmp_path: Path) -> None:
    done = run_script("http://127.0.0.1:9", tmp_path, wait_tries="2")
    assert done.returncode == 1
    assert "kubectl -n teal-search get elasticsearch,pods" in done.stderr
