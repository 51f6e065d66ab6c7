"""Promises of the rendered configuration: what would be dangerous or broken were it otherwise."""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from teal.errors import BadInput
from teal.laptop import caddyfile, java, supervisor
from teal.laptop.configuration import color_env, color_programs, config_of, declared_programs, secrets_of, service_env
from teal.laptop.layout import Layout
from teal.laptop.marks import HOME_MARK, PART_MARK
from teal.laptop.parts import caddy, elasticsearch, redis, registry
from teal.laptop.parts.part import PartContext
from teal.laptop.program import Program, changed, program_json
from teal.laptop.state import LaptopState, Ports
from teal.record.model import Color, ColorState

HOME = Layout(Path("/p/.teal"))
PORTS = Ports(
    public=8443,
    blue=(20001, 20002),
    green=(20011, 20012),
    redis=20003,
    elasticsearch=20004,
    elasticsearch_transport=20005,
    workers=(20006, 20016),
)
STATE = LaptopState(ports=PORTS)
PROBES: dict[Color, str] = {"blue": "b" * 48, "green": "9" * 48}
RELEASE = ColorState(release_id="r1", image="i", index="teal", schema_min="0001", schema_max="0001", replica_floor=2)
FOUND = {name: f"/v/bin/{name}" for name in ("caddy", "redis-server")}
SHELL = {
    "HOME": "/h",
    "DATABASE_URL": "postgresql://u:p%1@h/d",
    "TERM": "xterm",
    "TEAL_KEY": "k",
    "TEAL_GENERATION": "extractive",
}


def _place(environ: dict[str, str] | None = None, state: LaptopState = STATE, found: Mapping[str, str] = FOUND) -> PartContext:
    return PartContext(HOME, state, SHELL if environ is None else environ, found.get)


def _parts(
    environ: dict[str, str] | None = None,
    state: LaptopState = STATE,
    found: Mapping[str, str] = FOUND,
    color: Color = "blue",
) -> dict[str, Program]:
    """All programs of a stack that runs one color, without Elasticsearch, which needs a JDK."""
    place = _place(environ, state, found)
    env = service_env(place)
    release = RELEASE.model_copy(update={"config": config_of(env)})
    whole = color_env(color, release, secrets_of(env), code=Path("/v/code"), probe_secret=PROBES[color], metrics_token="m" * 48)
    own = [program for part in registry.PARTS if part.name != "elasticsearch" for program in part.programs(place)]
    return {program.name: program for program in (*own, *color_programs(place, color, whole, "/v/bin/python"))}


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "password", lambda _: "pw")


def test_the_stack_is_two_apps_and_a_worker_of_a_color_caddy_redis_both_models_fetches_and_the_watchdog() -> None:
    assert list(_parts()) == ["redis", "caddy", "model", "cross-encoder", "watchdog", "blue-worker", "blue-app-0", "blue-app-1"]
    assert list(_parts(color="green"))[5:] == ["green-worker", "green-app-0", "green-app-1"]


def test_supervisord_knows_both_colors_from_its_start() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(supervisor.supervisord_conf(HOME, declared_programs(_place())))
    names = {f"program:{color}-{part}" for color in ("blue", "green") for part in ("worker", "app-0", "app-1")}
    assert names <= set(parser.sections())
    assert {parser[name]["autostart"] for name in names} == {"false"}


def test_no_secret_is_in_what_a_record_keeps_and_every_process_gets_them() -> None:
    given = {**SHELL, "TEAL_OPENAI_API_KEY": "k3y", "https_proxy": "http://u:p@proxy"}  # pragma: allowlist secret
    env = service_env(_place({**given, "REDIS_URL": "redis://:pw@h/0"}))
    assert not {"k3y", "redis://:pw@h/0", SHELL["DATABASE_URL"], "http://u:p@proxy"} & set(config_of(env).values())
    assert config_of(env) | secrets_of(env) == env
    assert _parts(given)["blue-app-0"].env["TEAL_OPENAI_API_KEY"] == "k3y"  # pragma: allowlist secret


def test_the_versions_code_comes_first_and_no_folder_before_it() -> None:
    env = _parts()["blue-app-0"].env
    assert (env["PYTHONPATH"], env["PYTHONSAFEPATH"]) == ("/v/code", "1")


def test_a_shell_cannot_make_a_process_another_color_or_release() -> None:
    env = _parts(
        {
            **SHELL,
            "TEAL_RELEASE_ID": "x",
            "TEAL_COLOR": "green",
            "TEAL_INDEX": "y",
            "TEAL_PROBE_SECRET": "z",
            "TEAL_METRICS_TOKEN": "z",
        }
    )["blue-app-0"].env
    assert (env["TEAL_RELEASE_ID"], env["TEAL_COLOR"], env["TEAL_INDEX"]) == ("r1", "blue", "teal")
    assert env["TEAL_PROBE_SECRET"] == PROBES["blue"]
    assert env["TEAL_METRICS_TOKEN"] == "m" * 48


def test_apps_listen_on_loopback_on_their_own_ports() -> None:
    for name, port in (("blue-app-0", "20001"), ("blue-app-1", "20002")):
        assert _parts()[name].argv[-4:] == ("--host", "127.0.0.1", "--port", port)


def test_every_process_serves_its_metrics_and_the_page_knows_where() -> None:
    assert _parts()["blue-worker"].argv[-2:] == ("--metrics-port", "20006")
    peers = _parts()["blue-app-0"].env["TEAL_METRICS_PEERS"].split(",")
    ports = ("20001", "20002", "20006", "20011", "20012", "20016")
    assert peers == [f"http://127.0.0.1:{port}/metrics" for port in ports]


def test_the_service_gets_its_settings_and_the_shells_database() -> None:
    env = _parts()["blue-app-1"].env
    assert env["TEAL_RELEASE_ID"] == "r1"
    assert (env["TEAL_COLOR"], env["TEAL_SLOT"]) == ("blue", "1")
    assert (env["TEAL_STATE_DIR"], env["TEAL_MODEL_DIR"], env["TEAL_LOG_DIR"]) == (
        "/p/.teal/data",
        "/p/.teal/models",
        "/p/.teal/log",
    )
    assert env["REDIS_URL"] == "redis://:pw@127.0.0.1:20003/0"
    assert env["DATABASE_URL"] == SHELL["DATABASE_URL"]
    assert "ELASTICSEARCH_URL" not in env


def test_what_differs_between_two_shells_does_not_reach_the_parts() -> None:
    for part in _parts().values():
        assert not {"TERM", "TEAL_KEY"} & set(part.env)
    assert _parts({**SHELL, "PATH": "/a"}) == _parts({**SHELL, "PATH": "/b", "SSH_TTY": "x"})


def _changed(tmp_path: Path, then: dict[str, str]) -> list[str]:
    files = {
        tmp_path / f"{name}.json": program_json(part, HOME)
        for name, part in _parts({**SHELL, "TEAL_EMBEDDING": "bedrock"}).items()
    }
    for path, text in files.items():
        path.write_text(text)
    after = _parts({**SHELL, "TEAL_EMBEDDING": "bedrock", **then})
    return changed({tmp_path / f"{name}.json": program_json(part, HOME) for name, part in after.items()})


def test_what_rotates_between_shells_reaches_the_service_and_restarts_nothing(tmp_path: Path) -> None:
    rotating = {"HOME": "/other", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c",
                "SSL_CERT_FILE": "/f", "SSL_CERT_DIR": "/d", "https_proxy": "p", "HTTPS_PROXY": "p", "NO_PROXY": "n"}  # fmt: skip
    assert rotating.items() <= _parts({**SHELL, "TEAL_EMBEDDING": "bedrock", **rotating})["blue-worker"].env.items()
    assert _changed(tmp_path, rotating) == []


def test_a_changed_setting_is_named_and_its_value_is_not(tmp_path: Path) -> None:
    found = _changed(tmp_path, {"TEAL_CANDIDATES": "150", "DATABASE_URL": "postgresql://elsewhere", "AWS_REGION": "eu-west-1"})
    assert found == ["AWS_REGION", "DATABASE_URL", "TEAL_CANDIDATES"]


def test_a_changed_or_unreadable_command_line_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "redis.json"
    wanted = program_json(_parts()["redis"], HOME)
    for old in (wanted.replace("redis.conf", "other.conf"), "{", ""):
        path.write_text(old)
        assert changed({path: wanted}) == ["redis.json"]


def test_the_fetch_uses_the_given_maven_folder_and_its_environment_restarts_nothing() -> None:
    found = _parts({**SHELL, "M2_REPO": "/m2", "https_proxy": "p"})
    assert (found["model"].env["M2_REPO"], found["model"].env["https_proxy"]) == ("/m2", "p")
    assert "M2_REPO" not in found["blue-worker"].env
    assert "DATABASE_URL" not in found["model"].env


def test_load_balancer_and_redis_never_see_the_database_or_cloud_credentials() -> None:
    assert (
        "AWS_SECRET_ACCESS_KEY" not in _parts({**SHELL, "AWS_SECRET_ACCESS_KEY": "s"})["blue-worker"].env
    )  # nothing there uses it
    found = _parts({**SHELL, "AWS_SECRET_ACCESS_KEY": "s", "TEAL_GENERATION": "bedrock"})
    assert "AWS_SECRET_ACCESS_KEY" in found["blue-worker"].env
    for name in ("caddy", "redis"):
        assert not {"DATABASE_URL", "AWS_SECRET_ACCESS_KEY"} & set(found[name].env)


def test_a_given_redis_replaces_ours() -> None:
    found = _parts({**SHELL, "REDIS_URL": "redis://elsewhere/1"})
    assert "redis" not in found
    assert found["blue-worker"].env["REDIS_URL"] == "redis://elsewhere/1"


def test_no_redis_binary_means_no_redis_setting() -> None:
    found = _parts({}, found={"caddy": "/c"})
    assert "redis" not in found
    assert "REDIS_URL" not in found["blue-app-0"].env


def test_elasticsearch_url_reaches_the_service_only_when_it_is_used() -> None:
    wanting = STATE.model_copy(update={"search": "elasticsearch"})
    assert _parts(state=wanting)["blue-app-0"].env["ELASTICSEARCH_URL"] == "http://127.0.0.1:20004"
    assert (
        _parts({"ELASTICSEARCH_URL": "http://127.0.0.1:9"}, wanting)["blue-app-0"].env["ELASTICSEARCH_URL"]
        == "http://127.0.0.1:9"
    )


def test_every_part_carries_the_mark_that_reaping_looks_for() -> None:
    spec = json.loads(program_json(_parts()["redis"], HOME))
    assert spec["env"][HOME_MARK] == "/p/.teal"
    assert spec["env"][PART_MARK] == "redis"
    assert spec["pidfile"] == "/p/.teal/run/supervisord.pid"


def test_supervisor_configuration_holds_no_secret_and_survives_percent_signs() -> None:
    home = Layout(Path("/p%20q/.teal"))
    text = supervisor.supervisord_conf(home, tuple(_parts().values()))
    assert "redis://" not in text
    assert "postgresql" not in text
    parsed = configparser.ConfigParser(inline_comment_prefixes=(";", "#"))
    parsed.read_string(text)
    assert parsed["supervisord"]["pidfile"] == "/p%20q/.teal/run/supervisord.pid"
    assert parsed["unix_http_server"]["chmod"] == "0600"
    assert "inet_http_server" not in parsed
    for name in _parts():
        section = parsed[f"program:{name}"]
        assert section["autorestart"] == ("false" if name in ("model", "cross-encoder") else "true")
        assert section["command"].endswith(f"child.py /p%20q/.teal/conf/parts/{name}.json")


def test_caddy_serves_loopback_only_without_admin_and_without_touching_the_trust_store() -> None:
    text = caddyfile.render_caddyfile(HOME, STATE, ("127.0.0.1", "::1"), body_bytes=20_064_000, probe_secrets=PROBES)
    for promised in ("admin off", "skip_install_trust", "auto_https disable_redirects", "bind 127.0.0.1 [::1]", "tls internal",
                     'storage file_system "/p/.teal/caddy"', "https://localhost:8443, https://127.0.0.1:8443 {", "protocols h1 h2",
                     "import color blue 127.0.0.1:20001 127.0.0.1:20002",
                     "import color green 127.0.0.1:20011 127.0.0.1:20012", "health_uri /readyz", "health_interval 1s", "flush_interval -1",
                     "request_body @documents {\n\t\tmax_size 20064000", "request_body @questions {\n\t\tmax_size 262144", "request_body @small {\n\t\tmax_size 4096",
                     "@small not path /v1/documents /v1/documents/* /v1/search /v1/ask"):  # fmt: skip
        assert promised in text
    assert "/docs" not in text
    assert "Strict-Transport-Security" not in text


def test_caddys_problems_are_json_in_the_services_form() -> None:
    body = json.loads(caddyfile.problem_body("starting", "503", "T", "D", "run `teal status`"))
    assert body == {
        "type": "/errors#starting",
        "title": "T",
        "status": 503,
        "detail": "D",
        "code": "starting",
        "action": "run `teal status`",
        "request_id": "{http.request.uuid}",
    }


@pytest.mark.parametrize(("given", "limit_bytes"), [({}, 20_064_000), ({"TEAL_MAX_DOCUMENT_BYTES": "50000000"}, 100_064_000)])
def test_the_load_balancer_takes_what_the_service_takes(given: dict[str, str], limit_bytes: int) -> None:
    assert caddyfile.max_body_bytes(given) == limit_bytes


def test_a_document_limit_that_is_no_number_is_bad_input() -> None:
    with pytest.raises(BadInput) as caught:
        caddyfile.max_body_bytes({"TEAL_MAX_DOCUMENT_BYTES": "10MB"})
    assert "10MB" in caught.value.where


def test_redis_is_a_bounded_cache_on_loopback_with_a_password() -> None:
    lines = redis.redis_conf(HOME, STATE, "pw").splitlines()
    for promised in (
        "bind 127.0.0.1",
        "port 20003",
        "requirepass pw",
        "maxmemory 128mb",
        "maxmemory-policy allkeys-lru",
        'save ""',
        "appendonly no",
    ):
        assert promised in lines


def test_elasticsearch_is_one_node_on_loopback() -> None:
    lines = elasticsearch.elasticsearch_yml(STATE, Path("/e")).splitlines()
    for promised in (
        "discovery.type: single-node",
        "network.host: 127.0.0.1",
        "http.port: 20004",
        "transport.port: 20005",
        "path.data: /e/data",
    ):
        assert promised in lines


@pytest.mark.parametrize(
    ("said", "version"),
    [('openjdk version "17.0.15" 2025', 17), ('java version "1.8.0_401"', 8), ('openjdk version "21" 2023', 21), ("", 0)],
)
def test_java_versions_are_read(said: str, version: int) -> None:
    assert java.java_version(said) == version


@pytest.mark.parametrize("name", caddy.PAGES)
def test_error_pages_are_self_contained_accessible_and_dark_when_wanted(name: str) -> None:
    text = (Path(caddy.__file__).parent / "pages" / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert '"/docs' not in text
    assert "src=" not in text
    for promised in ('<html lang="en">', "<title>", "<main>", "<h1>", 'name="viewport"', "prefers-color-scheme: dark"):
        assert promised in text


def test_the_unavailable_page_says_what_to_do_and_tries_again_by_itself() -> None:
    text = (Path(caddy.__file__).parent / "pages" / "unavailable.html").read_text(encoding="utf-8")
    for promised in ("teal status", "teal up", 'role="status"', "setInterval", "noscript"):
        assert promised in text
