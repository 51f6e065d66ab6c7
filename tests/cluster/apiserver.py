"""A real Kubernetes API server on loopback: etcd and kube-apiserver, on ports of their own, gone afterwards.

What it proves: schemas, defaults, server-side apply, RBAC, admission policies. What is not here: nodes, pods, the operators' webhooks, and
whoever acts on what is written (unless a test starts one).
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.services.go_tools import tool
from tests.services.ports import free_port
from tests.services.required import require

BOOT_SECONDS: Final = 120.0  # 6 s alone on two cores; CI machines are slower
STOP_SECONDS: Final = 10.0
TOKEN: Final = "of-these-tests-alone"
ADMIN: Final = "kubernetes-admin"


class Refused(Exception):
    """What the API server answered instead of doing it: `code` is HTTP's, `reason` Kubernetes' own word."""

    def __init__(self, answer: httpx.Response) -> None:
        try:
            said: Mapping[str, Any] = answer.json()
        except ValueError:
            said = {"message": answer.text}
        super().__init__(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {said.get('message')}")
        self.code = answer.status_code
        self.reason = str(said.get("reason", ""))


@dataclass(frozen=True)
class Who:
    """A user whom the administrator impersonates, as EKS maps an AWS role to one by its access entry."""

    user: str
    groups: Sequence[str] = ()


@dataclass
class ApiServer:
    """Speaks to the server as its administrator, or as `who` by impersonation."""

    url: str
    ca: Path
    client: httpx.Client
    _kinds: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=dict)

    def path(self, document: Mapping[str, Any], subresource: str = "") -> str:
        """Where the object is, by the server's own discovery."""
        api, kind, metadata = document["apiVersion"], document["kind"], document["metadata"]
        base = f"/apis/{api}" if "/" in api else f"/api/{api}"
        if kind not in self._kinds.get(api, {}):
            found = self.ask("GET", base)["resources"]
            self._kinds[api] = {one["kind"]: (one["name"], one["namespaced"]) for one in found if "/" not in one["name"]}
        resource, namespaced = self._kinds[api][kind]
        folder = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return "/".join(filter(None, (f"{base}{folder}/{resource}", metadata["name"], subresource)))

    def ask(self, method: str, path: str, body: Any = None, who: Who | None = None, **more: Any) -> dict[str, Any]:
        """Raises Refused."""
        headers = list(more.pop("headers", {}).items())
        if who is not None:
            headers += [("Impersonate-User", who.user), *(("Impersonate-Group", group) for group in who.groups)]
        answer = self.client.request(method, path, json=body, headers=headers, **more)
        if answer.is_error:
            raise Refused(answer)
        found: dict[str, Any] = answer.json()
        return found

    def apply(
        self, document: Mapping[str, Any], manager: str, who: Who | None = None, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Server-side apply without force, as Pulumi's provider does it; the object as the server keeps it."""
        more = {"dryRun": "All"} if dry_run else {}
        return self.ask(
            "PATCH", self.path(document), document, who,
            params={"fieldManager": manager, "force": "false", **more}, headers={"Content-Type": "application/apply-patch+yaml"},
        )  # fmt: skip

    def create(self, document: Mapping[str, Any], who: Who | None = None, *, dry_run: bool = False) -> dict[str, Any]:
        folder = self.path(document).rpartition("/")[0]
        return self.ask("POST", folder, document, who, params={"dryRun": "All"} if dry_run else {})

    def read(self, document: Mapping[str, Any], who: Who | None = None) -> dict[str, Any] | None:
        """The object, or None when there is none."""
        try:
            return self.ask("GET", self.path(document), who=who)
        except Refused as refused:
            if refused.code == httpx.codes.NOT_FOUND:
                return None
            raise

    def token(self, namespace: str, account: str, seconds: int) -> str:
        """One of a service account's own, as its pods get it."""
        document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        made: str = self.ask("POST", self.path(document, "token"), asked)["status"]["token"]
        return made

    def define(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        """Make custom resources known, and wait until they are served."""
        for one in definitions:
            self.apply(one, "definitions")
        for one in definitions:
            self.wait(lambda one=one: "True" in conditions(self.read(one) or {}, "Established"), one["metadata"]["name"])

    def kubeconfig(self, path: Path) -> Path:
        """The administrator's, written to `path`."""
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "it", "user": {"token": TOKEN}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }))  # fmt: skip
        return path

    def wait(self, condition: Any, what: str, seconds: float = BOOT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} is not there after {seconds:.0f} s"
            time.sleep(0.1)


@contextmanager
def start(
    folder: Path,
    other: Path | None = None,
    more: Sequence[str] = (),
    address: str = "127.0.0.1",
    users: Mapping[str, Who] | None = None,
    port: int | None = None,
) -> Iterator[ApiServer]:
    """Boots both in `folder`; stops them at the end, whatever happened. Skips (fails in CI) without the programs. What an earlier start
    in the same folder kept is there again; `other` is the API server's program in the place of the pinned one; `more`: its arguments;
    `address` and `port`: where it listens, only loopback, by default at a free port, or a network that nobody else is in; `users`: who may
    sign in besides the administrator, by token.
    """
    etcd = shutil.which("etcd")
    require("etcd", "apt-get install etcd-server.", etcd is not None)
    program = other or tool("kube-apiserver")
    etcd_port, peer_port, port = free_port(), free_port(), port or free_port()
    tokens, key = folder / "tokens.csv", folder / "service-accounts.key"
    known = {TOKEN: Who(ADMIN, ("system:masters",)), **(users or {})}
    tokens.write_text("".join(f'{token},{who.user},{who.user},"{",".join(who.groups)}"\n' for token, who in known.items()))
    tokens.chmod(0o600)
    if not key.is_file():
        _write_key(key)
    kept = f"http://127.0.0.1:{etcd_port}"
    with ExitStack() as running:
        running.enter_context(process(folder / "etcd.log", [
            str(etcd), "--data-dir", str(folder / "etcd"), "--listen-client-urls", kept, "--advertise-client-urls", kept,
            "--listen-peer-urls", f"http://127.0.0.1:{peer_port}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer_port}", "--initial-cluster", f"default=http://127.0.0.1:{peer_port}",
        ]))  # fmt: skip
        server = running.enter_context(process(folder / "apiserver.log", [
            str(program), "--etcd-servers", kept, "--bind-address", address, "--secure-port", str(port),
            "--advertise-address", "10.255.255.1", "--endpoint-reconciler-type", "none",  # nobody is told of this server
            "--cert-dir", str(folder / "certificates"), "--token-auth-file", str(tokens), "--anonymous-auth=false",
            "--authorization-mode", "RBAC", "--allow-privileged", "--service-cluster-ip-range", "10.254.0.0/24",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", f"{key}.pub", "--service-account-signing-key-file", str(key),
            *more,
        ]))  # fmt: skip
        ca = folder / "certificates" / "apiserver.crt"
        _wait(f"https://{address}:{port}", ca, server, folder)
        trust = ssl.create_default_context(cafile=str(ca))
        url = f"https://{address}:{port}"
        client = httpx.Client(base_url=url, verify=trust, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
        yield ApiServer(url, ca, running.enter_context(client))


@contextmanager
def process(log: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with this block, and with this process."""
    bound = ["setpriv", "--pdeathsig", "KILL", *command]  # gone with this process, however it ends
    with log.open("wb") as said, subprocess.Popen(bound, cwd=log.parent, stdout=said, stderr=subprocess.STDOUT) as running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()


@contextmanager
def controller_manager(server: ApiServer, folder: Path, *more: str) -> Iterator[None]:
    """The controllers of Kubernetes beside it, with their own log in the folder. `more`: flags."""
    kubeconfig = str(server.kubeconfig(folder / "kubeconfig"))
    with process(folder / "controller-manager.log", [
        str(tool("kube-controller-manager")), "--kubeconfig", kubeconfig, "--leader-elect=false", "--bind-address", "127.0.0.1",
        "--secure-port", str(free_port()), "--cert-dir", str(folder / "manager"),
        "--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig, *more,
    ]):  # fmt: skip
        yield


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    Path(f"{path}.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _wait(url: str, ca: Path, server: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the server calls itself ready, its own roles and namespaces included."""
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            trust = ssl.create_default_context(cafile=str(ca))
            answer = httpx.get(f"{url}/readyz", verify=trust, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
            if answer.status_code == httpx.codes.OK:
                return
        except (OSError, httpx.HTTPError):
            pass  # not yet
        time.sleep(0.2)
    logs = "\n".join((folder / name).read_text(errors="replace")[-2000:] for name in ("etcd.log", "apiserver.log"))
    raise RuntimeError(f"the API server ended or was not ready within {BOOT_SECONDS:.0f} s; the logs end:\n{logs}")


def conditions(document: Mapping[str, Any], kind: str) -> list[str]:
    """The status of each condition of a kind."""
    held = document.get("status", {}).get("conditions") or ()  # of a definition that was just made it is null
    return [one["status"] for one in held if one["type"] == kind]
