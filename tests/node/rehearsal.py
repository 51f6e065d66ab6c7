"""A cluster for people who rehearse, as `teal cluster` runs it in the background, and what it knows of itself."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import ssl
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx

from tests.cluster.apiserver import TOKEN, conditions
from tests.node import dns, machine, metrics, node, remains, second, volumes
from tests.services import go_tools
from tests.services.go_tools import NODE, TOOLS, BuildFailed

PROGRAMS: Final = ("kube-apiserver", *NODE, "pause", "coredns")
_NAME: Final = f"kubernetes.default.svc.{dns.DOMAIN}"  # the cluster's own Service; every cluster has it
_ASK_SECONDS: Final = 10.0
Say = Callable[[dict[str, Any]], None]


def run(nodes: int, with_metrics: bool, say: Say) -> None:
    """Until a signal ends it. Says what it does, and at the end of its start how to speak to it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        _require(say)
        _build((*PROGRAMS, *([metrics.NAME] if with_metrics else [])), say)
        try:
            _serve(nodes, with_metrics, say)
        except (RuntimeError, TimeoutError, OSError) as error:
            traceback.print_exc()  # into the log
            _refuse(say, "cluster-failed", str(error).partition("\n")[0], "sudo teal cluster up; its log says more")


def _serve(nodes: int, with_metrics: bool, say: Say) -> None:
    began = time.monotonic()
    with ExitStack() as running:
        say({"step": "node", "state": "start", "detail": "starting"})
        first = running.enter_context(node.start())
        say({"step": "node", "state": "ok", "detail": f"ready after {time.monotonic() - began:.0f} s"})
        started = [first]
        if nodes > 1:
            other = running.enter_context(second.join(first))
            started.append(other)
            say({"step": second.NAME, "state": "ok", "detail": f"ready after {other.ready_seconds:.0f} s"})
        first.server.apply(volumes.storage_class(), "cluster")
        running.enter_context(volumes.provisioning(started))
        if with_metrics:
            say({"step": metrics.NAME, "state": "start", "detail": "until it has looked at the nodes twice"})
            running.enter_context(metrics.serving(first))
            say({"step": metrics.NAME, "state": "ok", "detail": "answers for metrics.k8s.io"})
        seconds = round(time.monotonic() - began, 1)
        say({"step": "ready", "state": "ok", "detail": f"after {seconds} s", "seconds": seconds, **_how(first.machine)})
        signal.pause()


def status(folder: Path, pid: int) -> Iterator[dict[str, Any]]:
    """Rows of `teal cluster status`: the API server itself is asked. `folder`: of the machine; `pid`: its first process."""
    try:
        kubeconfig = json.loads((folder / "kubeconfig").read_text())
        cluster = kubeconfig["clusters"][0]["cluster"]
        with (
            machine.network(Path(f"/proc/{pid}/ns/net")),
            httpx.Client(
                base_url=cluster["server"], verify=ssl.create_default_context(cafile=cluster["certificate-authority"]), timeout=_ASK_SECONDS,
                headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False,
            ) as client,
        ):  # fmt: skip
            client.get("/readyz").raise_for_status()
            yield _row("API server", True, cluster["server"])
            for each in _items(client, "nodes"):
                ready = "True" in conditions(each, "Ready")
                yield _row(each["metadata"]["name"], ready, "Ready" if ready else "not ready")
            found = dns.answers(_NAME)
            yield _row("names", found, f"{_NAME} {'is known' if found else 'is not known'} to {dns.ADDRESS}")
            yield from _metrics(client)
            yield _pods(_items(client, "pods"), f"{_kubectl(folder, pid)} describe pods --all-namespaces")
    except (OSError, httpx.HTTPError) as error:
        yield _row("API server", False, f"no answer: {error}")


def sweep() -> Iterator[dict[str, Any]]:
    """Remove what ended machines left. Yields what could not be removed."""
    with contextlib.suppress(OSError):  # said by what is left
        remains.sweep()
    for one in remains.left():
        yield {"left": one}


def _require(say: Say) -> None:
    missing = machine.missing_packages() + ([] if shutil.which("etcd") else ["etcd-server"])
    if missing:
        _refuse(say, "bad-input", f"Packages of the system are missing: {', '.join(missing)}",
                f"sudo apt-get install --no-install-recommends {' '.join(missing)}")  # fmt: skip


def _build(programs: Sequence[str], say: Say) -> None:
    for number, name in enumerate(programs):

        def tell(line: str, number: int = number) -> None:
            say({"step": "programs", "state": "progress", "detail": line, "done": number, "total": len(programs)})

        try:
            go_tools.build(TOOLS[name], tell)
        except BuildFailed as error:
            _refuse(say, "cluster-failed", f"{name} did not build: {error}", "sudo make packages, then sudo teal cluster up")
    say({"step": "programs", "state": "ok", "detail": f"{len(programs)} are built"})


def _refuse(say: Say, code: str, what: str, mend: str) -> None:
    say({"error": {"code": code, "what": what, "next": mend}})
    sys.exit(1)


def _how(inner: machine.Machine) -> dict[str, Any]:
    return {
        "pid": inner.pid, "folder": str(inner.folder), "kubeconfig": f"{inner.folder}/kubeconfig",
        "kubectl": _kubectl(inner.folder, inner.pid), "shell": f"nsenter --target={inner.pid} --net --mount --pid bash",
    }  # fmt: skip


def _kubectl(folder: Path, pid: int) -> str:
    return f"nsenter --target={pid} --net kubectl --kubeconfig={folder}/kubeconfig"


def _items(client: httpx.Client, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/v1/{kind}").raise_for_status().json()["items"]
    return found


def _metrics(client: httpx.Client) -> Iterator[dict[str, Any]]:
    """No row for a cluster that was started without it."""
    answer = client.get(metrics.NODES)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return
    known = [row["metadata"]["name"] for row in answer.json()["items"]] if answer.is_success else []
    missing = "has no numbers of a node yet" if answer.is_success else f"answers {answer.status_code}"
    yield _row("metrics", bool(known), f"of {', '.join(known)}" if known else f"metrics.k8s.io {missing}")


def _pods(found: list[dict[str, Any]], mend: str) -> dict[str, Any]:
    running = [pod for pod in found if pod["status"].get("phase") != "Succeeded"]
    waiting = [pod for pod in running if "True" not in conditions(pod, "Ready")]
    names = ", ".join(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}: {_reason(pod)}" for pod in waiting)
    detail = f"not ready: {names}" if waiting else f"{len(running)}, all ready" if running else "none"
    return _row("pods", not waiting, detail, mend if waiting else "")


def _reason(pod: Mapping[str, Any]) -> str:
    states = [each.get("state", {}).get("waiting", {}).get("reason") for each in pod["status"].get("containerStatuses", ())]
    return next(filter(None, states), pod["status"].get("phase", "unknown"))


def _row(part: str, ok: bool, detail: str, mend: str = "") -> dict[str, Any]:
    return {"part": part, "ok": ok, "detail": detail, "mend": mend if ok or mend else "sudo teal cluster down, then up"}
