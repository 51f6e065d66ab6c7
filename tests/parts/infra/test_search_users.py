"""The roles of `infra.platform.search.users` on a real Elasticsearch with security: enough for each user's work, and no more."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elasticsearch import AuthorizationException, Elasticsearch

from app.models.port import Stamp
from app.search.elasticsearch.reader import ElasticsearchReader
from app.search.engines import open_writer
from app.search.port import Passage, SearchQuery
from app.settings import Settings
from infra.config.sections import SearchConfig
from infra.platform.search import setup, users
from tests.services import elasticsearch_process
from tests.services.required import require

pytestmark = pytest.mark.integration
PASSWORD = "only-for-this-test"  # pragma: allowlist secret
STAMP = Stamp("none", "none", 0)
SECURE = """\
xpack.security.enabled: true
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: false
xpack.security.enrollment.enabled: false
xpack.security.authc.anonymous: {{username: boot, roles: boot}}
xpack.security.authc.realms.file.file: {{order: 0}}
xpack.security.authc.realms.native.native: {{order: 1, enabled: false}}
xpack.security.authc.reserved_realm.enabled: false
"""
BOOT = "boot:\n  cluster: [monitor]\n"  # to see when it is up
As = Callable[[str], Elasticsearch]


def hashed(password: str) -> str:
    """As Elasticsearch's file realm holds it."""
    salt, rounds = b"salt" * 8, 10_000
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 32)
    return f"{{PBKDF2}}{rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@pytest.fixture(scope="module")
def secure_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node of its own, whose file realm holds the three users as ECK would write them."""
    archive = elasticsearch_process.archive()
    require("Elasticsearch", "Run `teal up --search elasticsearch` once.", archive.exists())
    require("Java", "apt-get install openjdk-17-jre-headless.", shutil.which("java") is not None)
    plain = elasticsearch_process.node_variables

    def with_users(home: Path) -> dict[str, str]:
        (config,) = home.glob("elasticsearch-*/config")
        names = (users.APP, users.OPERATOR, users.SETUP)
        (config / "roles.yml").write_text(users.roles_file() + BOOT)
        (config / "users").write_text("".join(f"{name}:{hashed(PASSWORD)}\n" for name in names))
        (config / "users_roles").write_text("".join(f"{name}:{name}\n" for name in names))
        environment = plain(home)
        # It would write the built-in roles into an index that needs analyzers which this distribution has not.
        return {**environment, "ES_JAVA_OPTS": f"{environment['ES_JAVA_OPTS']} -Des.queryable_built_in_roles_enabled=false"}

    configuration = elasticsearch_process.CONFIGURATION.replace("xpack.security.enabled: false\n", SECURE)
    with elasticsearch_process.start(
        archive, tmp_path_factory.mktemp("secure"), configuration=configuration, variables=with_users
    ) as url:
        yield url


@pytest.fixture
def client(secure_url: str) -> Iterator[As]:
    made: list[Elasticsearch] = []

    def as_user(name: str) -> Elasticsearch:
        made.append(Elasticsearch(secure_url, basic_auth=(name, PASSWORD)))
        return made[-1]

    yield as_user
    for one in made:
        one.close()


@pytest.fixture
def repository(client: As, secure_url: str) -> str:
    """Registered by the set-up user, as at `pulumi up`; on disk, since this distribution has no S3."""
    nodes = client(users.OPERATOR).nodes.info(metric="settings")["nodes"]
    (path,) = {str(node["settings"]["path"]["repo"]) for node in nodes.values()}
    folder = {"type": "fs", "settings": {"location": path.strip("[]")}}
    client(users.SETUP).snapshot.create_repository(name=setup.REPOSITORY, repository=folder)
    return setup.REPOSITORY


@pytest.mark.anyio
async def test_the_services_user_can_do_all_that_the_service_does(secure_url: str, client: As) -> None:
    settings = Settings(
        search="elasticsearch",
        elasticsearch_url=secure_url,
        index="teal-role",
        elasticsearch_username=users.APP,
        elasticsearch_password=PASSWORD,  # type: ignore[arg-type]  # pydantic makes it a secret
        search_timeout_seconds=10.0,
    )
    writer, reader = open_writer(settings), ElasticsearchReader(settings, STAMP)
    try:
        writer.ensure(STAMP)
        writer.put([Passage("d:0", "d", 0, "Tides", "a tide table", "default")])
        writer.refresh()
        assert list((await reader.candidates(SearchQuery("tide", None, 10))).lexical) == ["d:0"]
        assert (await reader.status()).passages == 1
        assert writer.delete_document("d") == 1
    finally:
        writer.close()
        await reader.close()
        client(users.APP).indices.delete(index="teal-role-000001")


def test_the_services_user_reaches_nothing_else(client: As, repository: str) -> None:
    app = client(users.APP)
    for refused in (
        lambda: app.indices.create(index="other"),
        lambda: app.search(index=".security-7"),
        lambda: app.snapshot.create(repository=repository, snapshot="mine"),
        lambda: app.snapshot.create_repository(name="mine", repository={"type": "fs", "settings": {"location": "mine"}}),
        lambda: app.security.put_user(username="mine", password=PASSWORD, roles=["superuser"]),
        lambda: app.cluster.put_settings(persistent={"action.auto_create_index": "false"}),
    ):
        with pytest.raises(AuthorizationException):
            refused()


def test_the_operators_user_snapshots_and_restores_and_registers_no_repository(client: As, repository: str) -> None:
    operator = client(users.OPERATOR)
    operator.indices.create(index="teal-kept", settings={"number_of_replicas": 0})
    try:
        operator.snapshot.create(repository=repository, snapshot="one", indices="teal-kept", wait_for_completion=True)
        operator.snapshot.verify_repository(name=repository)
        restored = operator.snapshot.restore(
            repository=repository,
            snapshot="one",
            indices="teal-kept",
            rename_pattern="teal-kept",
            rename_replacement="teal-restored",
            wait_for_completion=True,
        )
        assert restored["snapshot"]["indices"] == ["teal-restored"]
        with pytest.raises(AuthorizationException):
            operator.snapshot.create_repository(name="mine", repository={"type": "fs", "settings": {"location": "mine"}})
    finally:
        operator.indices.delete(index="teal-kept,teal-restored", ignore_unavailable=True)
        operator.snapshot.delete(repository=repository, snapshot="one")


def test_the_setup_user_can_send_what_the_job_sends_and_reads_no_passage(client: As, repository: str) -> None:
    owner, operator = client(users.SETUP), client(users.OPERATOR)
    owner.snapshot.verify_repository(name=repository)
    body = setup.template_body(SearchConfig(replicas=0))
    del body["template"]["settings"]["index"]["lifecycle"]  # this distribution has no ILM
    owner.indices.put_index_template(name=setup.TEMPLATE, body=body)
    operator.indices.create(index="teal-set")
    try:
        owner.indices.put_settings(index="teal-*", settings={"refresh_interval": "2s"})
        with pytest.raises(AuthorizationException):
            owner.search(index="teal-set")
    finally:
        operator.indices.delete(index="teal-set")
        owner.indices.delete_index_template(name=setup.TEMPLATE)
