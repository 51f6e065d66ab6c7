"""Each scanner is shown something bad and must see it; and what could not run is never a pass."""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from teal.laptop.program import find_program
from tests.scanners import run, tls
from tests.scanners.outcome import Accepted, Finding, Outcome, accepted, judge
from tests.scanners.run import CouldNotRun
from tests.services.required import require

BAD = Finding("R1", "app/a.py:3", "medium", "bad")
SMALL = Finding("R2", "app/a.py:4", "low", "small")
REASON = Accepted("one", "R1", "app/a.py", "because")


@pytest.mark.parametrize(
    ("outcomes", "reasons", "may_not_run", "code"),
    [
        ([Outcome("one", "ran")], [], (), 0),
        ([Outcome("one", "ran", findings=(SMALL,))], [], (), 0),
        ([Outcome("one", "ran", findings=(BAD,))], [], (), 1),
        ([Outcome("one", "ran", findings=(BAD,))], [REASON], (), 0),
        ([Outcome("one", "ran", findings=(BAD,))], [Accepted("two", "R1", "app/a.py", "another scanner's")], (), 1),
        ([Outcome("one", "ran", findings=(BAD,))], [Accepted("one", "R1", "app/a", "no file")], (), 1),
        ([Outcome("one", "ran")], [REASON], (), 1),  # found no more: the reason must go
        ([Outcome("one", "could not run", why="w")], [REASON], (), 4),
        ([Outcome("one", "could not run", why="w")], [], ("one",), 0),
        ([Outcome("one", "could not run", why="w"), Outcome("two", "ran", findings=(BAD,))], [], (), 1),
        ([Outcome("one", "left out", why="w")], [REASON], (), 0),
    ],
)
def test_verdict_table(outcomes: list[Outcome], reasons: list[Accepted], may_not_run: tuple[str, ...], code: int) -> None:
    assert judge(outcomes, reasons, may_not_run=frozenset(may_not_run)).exit_code() == code


def test_every_reason_is_a_reason() -> None:
    rows = accepted()
    assert len({(row.scanner, row.rule, row.path) for row in rows}) == len(rows)
    for row in rows:
        assert row.scanner in run.SCANNERS
        assert (run.ROOT / row.path).is_file()
        assert len(row.reason) > 10 or row.reason == "As above."


def test_a_scanner_that_breaks_or_is_missing_has_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[Finding, ...]:
        raise ValueError("no JSON")

    assert run.outcome("bandit", broken) == Outcome("bandit", "could not run", why="ValueError: no JSON")
    monkeypatch.setattr(run, "BIN", Path("/nowhere"))
    monkeypatch.setenv("PATH", "/nowhere")
    missing = run.outcome("hadolint")
    assert (missing.state, "not installed" in missing.why) == ("could not run", True)


def test_an_auditor_without_its_list_has_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[{"name": "jinja2", "skip_reason": "not found"}], []])
    monkeypatch.setattr(run, "audit", lambda *_: next(answers))
    with pytest.raises(CouldNotRun, match=r"jinja2==2\.4\.1"):
        run.pip_audit()
    known = [{"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "CVE-1"}]}]
    answers = iter([known, [{"name": "x", "version": "1", "vulns": [{"id": "CVE-2"}]}]])
    assert [finding.rule for finding in run.pip_audit()] == ["CVE-2"]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which each scanner has something to find."""
    root = tmp_path_factory.mktemp("bad")
    for folder in ("app", "teal", "infra", "contract", "loadtests", ".github/workflows"):
        (root / folder).mkdir(parents=True)
    (root / "app" / "a.py").write_text("import subprocess\nsubprocess.run(input(), shell=True)\n")
    (root / "app" / "Dockerfile").write_text("FROM debian\nRUN cd /tmp\n")
    (root / ".github" / "workflows" / "a.yml").write_text(
        "on: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - run: echo ${{ github.event.issue.title }} ${{ nothing.here }}\n"
    )
    (root / "app" / "b.py").write_text('password = "hj4K9x0pQ2mZ7w"\n')  # pragma: allowlist secret
    shutil.copy(run.ROOT / ".secrets.baseline", root)
    subprocess.run(("git", "init", "-q"), cwd=root, check=True)
    subprocess.run(("git", "add", "-A"), cwd=root, check=True)
    return root


@pytest.mark.parametrize(
    ("scanner", "rule", "file"),
    [
        ("bandit", "B602", "app/a.py"),
        ("zizmor", "dangerous-triggers", ".github/workflows/a.yml"),
        ("actionlint", "expression", ".github/workflows/a.yml"),
        ("hadolint", "DL3006", "app/Dockerfile"),
        ("detect-secrets", "Secret Keyword", "app/b.py"),
    ],
)
def test_each_scanner_sees_what_is_bad(bad: Path, scanner: str, rule: str, file: str) -> None:
    if scanner == "actionlint":
        require("Go", "install Go 1.25 or later", shutil.which("go") is not None)
    found = run.SCANNERS[scanner](bad)  # type: ignore[call-arg]
    assert [one for one in found if one.rule == rule and file in one.where and one.severity != "low"], found


@pytest.mark.integration
def test_the_stacks_load_balancer_refuses_what_is_weak() -> None:
    require("caddy", "make up", find_program("caddy") is not None)
    assert tls.scan() == ()


@pytest.fixture
def weak_server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server that takes TLS 1.1, and ciphers without authentication of what they encrypt."""
    require("cryptography", "make .venv/.installed-dev", importlib.util.find_spec("cryptography") is not None)
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key, name = rsa.generate_private_key(65537, 2048), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = (
        builder.not_valid_before(today).not_valid_after(today + datetime.timedelta(1)).add_extension(names, critical=False)
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign, assignment]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, pem
    server.shutdown()
    server.server_close()


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_weak_server_is_seen_to_be_weak(weak_server: tuple[int, Path]) -> None:
    port, _ = weak_server
    front_ca = Path(ssl.get_default_verify_paths().openssl_cafile or "/etc/ssl/certs/ca-certificates.crt")
    require("a list of certificate authorities", "apt-get install ca-certificates", front_ca.is_file())
    rules = {finding.rule for finding in tls.findings("127.0.0.1", port, front_ca)}
    assert {"old-protocol", "weak-cipher", "no-tls-1.3", "certificate"} <= rules
