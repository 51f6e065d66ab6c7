"""KEDA scales a color's workers by the jobs that wait in PostgreSQL. One story, in this order.

KEDA 2.20.2 is built from its module: its operator, and the API of metrics that the real controller manager's autoscaler asks. The ScaledObject is
the service's own and the access to the database the platform's own, TLS and Secrets Manager (moto's) in it; only addresses, and how long
is waited, are others. Nothing runs in the pods. No chart: tests/cluster/keda.py says what is left out. The Secrets that the workers' variables
name are not there, as before the first pod mounts them: KEDA must not need them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from dbos._schemas.system_database import SystemSchema
from sqlalchemy import create_engine

from contract.jobs import STATUS_TABLE
from contract.names import NAMESPACES, WORKERS
from tests.cluster import apart, apiserver, keda
from tests.cluster.apiserver import ApiServer
from tests.cluster.objects import as_sent, custom_resource_definitions, objects
from tests.engine.pods import Pods
from tests.node import aggregation
from tests.parts.infra import definitions
from tests.services import aws_server, postgres_process, postgres_server
from tests.services.go_tools import tool
from tests.services.ports import free_port
from tests.services.required import require
from tests.unit.infra import service_program
from tests.unit.infra.conftest import evaluate

BLUE: Final = NAMESPACES["blue"]
PASSWORD: Final = "of-these-tests"  # pragma: allowlist secret
JOBS_PER_WORKER: Final = 20
SETTINGS: Final = {"worker_min": 0, "worker_max": 5, "jobs_per_worker": JOBS_PER_WORKER}
RELEASE_ID: Final = str(service_program.record()["release_id"])
POLL_SECONDS: Final = 2  # 15 in production
CALM_SECONDS: Final = 5  # 300 in production
AWAY_SECONDS: Final = 30  # the database: more than the four polls that `fallback` waits for, and the calm after them

# Each build takes minutes, and nothing of it is the project's own.
pytestmark = [pytest.mark.weekly, pytest.mark.timeout(1800)]


@dataclass
class Workers:
    """The color's, and the queue that they would empty."""

    server: ApiServer
    database: postgres_server.Server
    made: int = 0

    def wait(self, count: int, release: str = RELEASE_ID, status: str = "ENQUEUED") -> None:
        """So many jobs more wait."""
        rows = [(f"job-{self.made + number}", status, release) for number in range(count)]
        self.made += count
        with psycopg.connect(self.database.url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {STATUS_TABLE} (workflow_uuid, status, application_version, queue_name, priority, created_at, updated_at)"
                " VALUES (%s, %s, %s, 'ingest', 0, 0, 0)",
                rows,
            )

    def finish(self) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(f"UPDATE {STATUS_TABLE} SET status = 'SUCCESS'")

    def served(self) -> int:
        """The length of the queue, as KEDA's metrics API tells the autoscaler."""
        path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{BLUE}/s0-postgresql"
        answer = self.server.ask("GET", path, params={"labelSelector": f"scaledobject.keda.sh/name={WORKERS}"})
        (item,) = answer["items"]
        return int(item["value"])

    def autoscaler(self) -> dict[str, Any]:
        """The one that KEDA makes."""
        path = f"/apis/autoscaling/v2/namespaces/{BLUE}/horizontalpodautoscalers/keda-hpa-{WORKERS}"
        return self.server.ask("GET", path)

    def capped(self) -> bool:
        """The autoscaler says that it wants more than it may."""
        conditions = self.autoscaler()["status"].get("conditions", ())
        return any(
            (one["type"], one["status"], one["reason"]) == ("ScalingLimited", "True", "TooManyReplicas") for one in conditions
        )

    def count(self) -> int:
        path = f"/apis/apps/v1/namespaces/{BLUE}/statefulsets/{WORKERS}"
        return int(self.server.ask("GET", path)["status"].get("readyReplicas", 0))

    def become(self, count: int) -> None:
        self.server.wait(lambda: self.count() == count, f"{count} workers")


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    programs = postgres_process.binaries()
    require("PostgreSQL", f"{postgres_process.HINT}.", programs is not None)
    assert programs is not None
    folder, port = tmp_path_factory.mktemp("scaler"), free_port()
    # What comes from the internet comes before, because the network below has nobody in it.
    known = definitions_of_keda()
    for program in ("kube-apiserver", "kube-controller-manager", *keda.PROGRAMS):
        tool(program)
    with (
        apart.network(keda.METRICS_ADDRESS),
        apiserver.start(folder, more=aggregation.flags(folder)) as server,
        apiserver.controller_manager(server, folder, "--horizontal-pod-autoscaler-sync-period", f"{POLL_SECONDS}s"),
        Pods(server).ready(),
        database(programs, port) as stores,
        aws_server.start() as aws,
    ):
        aws.reset()
        secret = json.dumps({"username": "teal", "password": PASSWORD})
        arn = aws.client("secretsmanager").create_secret(Name="database", SecretString=secret)["ARN"]
        server.define(known)
        for document in color(arn, port):
            server.apply(document, "pulumi")
        variables = {
            "AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": aws_server.REGION,  # pragma: allowlist secret
        }  # fmt: skip
        with keda.start(server, folder, folder / "kubeconfig", BLUE, variables):
            yield Workers(server, stores)


@contextmanager
def database(programs: Path, port: int) -> Iterator[postgres_server.Server]:
    """With TLS, a password, and DBOS's own table of jobs."""
    with postgres_server.folder() as home:
        server = postgres_server.Server(programs, home, port=port, listen="127.0.0.1")
        server.create()
        server.require_tls("localhost", clients="127.0.0.1/32")
        server.start()
        try:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"ALTER USER teal PASSWORD '{PASSWORD}'")
                connection.execute("CREATE SCHEMA dbos")
            url = server.url.replace("postgresql://", "postgresql+psycopg://")
            placed = {SystemSchema.metadata_obj.schema: STATUS_TABLE.split(".")[0]}
            with create_engine(url, execution_options={"schema_translate_map": placed}).begin() as connection:
                SystemSchema.workflow_status.create(connection)
            yield server
        finally:
            server.stop()


def definitions_of_keda() -> list[dict[str, Any]]:
    """All of its module, because the operator waits for each; and those of the color's other kinds."""
    version = definitions.SOURCES["keda.sh/v1alpha1", "ScaledObject"].version
    module = definitions.folder(definitions.KEDA, version)
    files = [str(file.relative_to(module)) for file in sorted((module / "config" / "crd" / "bases").glob("*.yaml"))]
    own = [one for file in files for one in definitions.documents(definitions.Module(definitions.KEDA, version, file))]
    return [*own, *(one for one in custom_resource_definitions() if one["spec"]["group"] != "keda.sh")]


def color(secret_arn: str, port: int) -> Iterator[dict[str, Any]]:
    """What both programs make in the color's namespace and the autoscaler needs."""
    for document in objects("platform", "dev"):
        metadata = document["metadata"]
        if metadata["name"] == BLUE or (metadata.get("namespace") == BLUE and document["kind"] in _NEEDED):
            if document["kind"] == "ConfigMap":
                document["data"] |= {"host": "127.0.0.1", "port": str(port), "dbName": "postgres"}
            if document["kind"] == "TriggerAuthentication":
                for one in document["spec"]["awsSecretManager"]["secrets"]:
                    one["name"] = secret_arn
            yield document
    outputs = dict(evaluate("platform", "dev").outputs)
    outputs["service_defaults"] = {**outputs["service_defaults"], **SETTINGS}
    for one in service_program.evaluate("dev", outputs).resources:
        document = as_sent(dict(one.inputs)) if one.type.startswith("kubernetes:") else {}
        if document.get("kind") == "ScaledObject":
            spec = document["spec"]
            spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = (
                CALM_SECONDS
            )
            yield {**document, "spec": {**spec, "pollingInterval": POLL_SECONDS, "cooldownPeriod": CALM_SECONDS}}
        if document.get("kind") == "StatefulSet":
            yield document


_NEEDED: Final = ("ServiceAccount", "ConfigMap", "TriggerAuthentication")


def test_no_worker_stays_while_nothing_of_the_release_waits(workers: Workers) -> None:
    """The other color's jobs, and those that are done, are not counted."""
    workers.wait(3 * JOBS_PER_WORKER, release="r-of-green")
    workers.wait(3 * JOBS_PER_WORKER, status="SUCCESS")
    workers.become(0)


def test_the_autoscaler_has_the_color_s_bounds(workers: Workers) -> None:
    spec = workers.autoscaler()["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": WORKERS}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, SETTINGS["worker_max"])  # KEDA itself goes from one to none
    (metric,) = spec["metrics"]
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": str(JOBS_PER_WORKER)}


def test_there_is_a_worker_for_each_so_many_jobs(workers: Workers) -> None:
    """Running jobs count as those that wait."""
    workers.wait(1)
    workers.become(1)
    workers.wait(JOBS_PER_WORKER)
    workers.wait(JOBS_PER_WORKER, status="PENDING")
    workers.become(3)
    assert workers.served() == 2 * JOBS_PER_WORKER + 1


def test_there_are_never_more_than_the_most(workers: Workers) -> None:
    workers.wait(50 * JOBS_PER_WORKER)
    workers.become(SETTINGS["worker_max"])
    workers.server.wait(workers.capped, "the autoscaler's word that it wants more than it may")


def test_they_go_when_all_is_done(workers: Workers) -> None:
    workers.finish()
    workers.become(0)


def test_they_stay_as_many_while_the_database_does_not_answer(workers: Workers) -> None:
    """KEDA neither ends a worker, nor needs a hand when the database is back."""
    workers.wait(2 * JOBS_PER_WORKER)
    workers.become(2)
    workers.database.stop()
    time.sleep(AWAY_SECONDS)
    assert workers.count() == 2
    workers.database.start()
    workers.wait(JOBS_PER_WORKER)
    workers.become(3)


def test_they_stay_as_many_while_their_number_cannot_be_asked(workers: Workers) -> None:
    """The database answers and refuses the query: with a number of its own in place of it, KEDA would end workers that are busy."""
    schema, table = STATUS_TABLE.split(".")
    with psycopg.connect(workers.database.url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {STATUS_TABLE} RENAME TO hidden")
        time.sleep(AWAY_SECONDS)
        assert workers.count() == 3
        connection.execute(f"ALTER TABLE {schema}.hidden RENAME TO {table}")
    workers.wait(JOBS_PER_WORKER)
    workers.become(4)
