"""Programs built from the Go modules that tools/ pins, once each: `python -m tests.services.go_tools` builds all or those named,
and says how far it is.

Each folder of tools/ is a Go module whose go.mod and go.sum pin everything. What was built lies in a cache folder whose name is a digest of
both and of our own sources beside them, so that nothing is built again while nothing changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.services.required import require

MODULES: Final = Path(__file__).resolve().parents[2] / "tools"
TOLD_SECONDS: Final = 15.0  # between two lines of progress
_SCRATCH: Final = "building-"


@dataclass(frozen=True)
class Tool:
    """`module`: folder of tools/. `package`: what is built. `versioned`: the module whose version it is, and the Go `variables` that say it."""

    name: str
    module: str
    package: str
    versioned: str
    variables: tuple[str, ...]
    leading: str = ""  # what stands before the number in its own releases
    embeds: tuple[str, ...] = ()  # files of `versioned` that our own main embeds, by their path in it
    static: bool = False  # without the C library: it runs in an image of nothing else
    at_home: bool = False  # built in the folder of `versioned`, by its own go.mod: what that replaces, no other module can have
    tags: tuple[str, ...] = ()  # Go's build tags: what of the module is left out or taken in


_KUBERNETES: Final = ("k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion")
_PROMETHEUS: Final = "github.com/prometheus/prometheus"
# What a cluster with a node has besides the API server
NODE: Final = ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy")

TOOLS: Final = {
    tool.name: tool
    for tool in (
        *(
            Tool(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes", _KUBERNETES, leading="v")
            for name in ("kube-apiserver", *NODE)
        ),
        Tool("pause", "kubernetes", "./pause", "k8s.io/kubernetes", ("main.version",)),
        Tool(
            "pulumi", "pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            "github.com/pulumi/pulumi/pkg/v3", ("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version",),
            leading="v",
        ),
        Tool(
            "pulumi-resource-kubernetes", "pulumi-kubernetes", ".", "github.com/pulumi/pulumi-kubernetes/provider/v4", ("main.version",),
            embeds=tuple(f"cmd/pulumi-resource-kubernetes/{name}.json" for name in ("schema", "terraform-mapping")),
        ),
        Tool("coredns", "coredns", ".", "github.com/coredns/coredns", ()),
        Tool(
            "kube-network-policies", "network-policies", "sigs.k8s.io/kube-network-policies/cmd", "sigs.k8s.io/kube-network-policies", (),
        ),
        Tool(
            "eck-operator", "eck-operator", "github.com/elastic/cloud-on-k8s/v3/cmd", "github.com/elastic/cloud-on-k8s/v3",
            ("github.com/elastic/cloud-on-k8s/v3/pkg/about.version",), static=True,
        ),
        Tool(
            "secrets-store-csi-driver", "secrets-store", "sigs.k8s.io/secrets-store-csi-driver/cmd/secrets-store-csi-driver",
            "sigs.k8s.io/secrets-store-csi-driver", ("sigs.k8s.io/secrets-store-csi-driver/pkg/version.BuildVersion",), leading="v",
        ),
        *(
            Tool(f"secrets-store-{name}", "secrets-store", f"./{name}", "sigs.k8s.io/secrets-store-csi-driver", ())
            for name in ("registrar", "provider")
        ),
        *(
            Tool(f"keda-{name}", "keda", f"./cmd/{name}", "github.com/kedacore/keda/v2",
                 ("github.com/kedacore/keda/v2/version.Version",), at_home=True)
            for name in ("operator", "adapter")
        ),
        # Discovery of clouds is half of the module's code. Its web page's assets are generated, and not in the module.
        *(
            Tool(name, "prometheus", f"./cmd/{name}", _PROMETHEUS, ("github.com/prometheus/common/version.Version",), at_home=True,
                 tags=("remove_all_sd", *tags))
            for name, tags in (("promtool", ()), ("prometheus", ("enable_kubernetes_sd",)))
        ),
        # Each in its own folder, by its own versions of the libraries: nothing of them is shared with another tool.
        *(
            Tool(name, name, ".", module, ("github.com/prometheus/common/version.Version",), static=True, at_home=True)
            for name, module in (
                ("kube-state-metrics", "k8s.io/kube-state-metrics/v2"),
                ("elasticsearch-exporter", "github.com/prometheus-community/elasticsearch_exporter"),
            )
        ),
        # With its own versions of Kubernetes' libraries: 0.8.0 beside 0.35 did not know its own definitions (ADR 0011).
        Tool("metrics-server", "metrics-server", "./cmd/metrics-server", "sigs.k8s.io/metrics-server", _KUBERNETES[:1], leading="v", at_home=True),
        Tool("chart", "eck-operator", "./chart", "helm.sh/helm/v3", ("main.version",), static=True),
    )
}  # fmt: skip


class BuildFailed(Exception):
    """A tool did not build; the text is what Go said last."""


def tool(name: str) -> Path:
    """The program; built now where it is missing. Skips (fails in CI) without Go and where it does not build."""
    try:
        return build(TOOLS[name])
    except BuildFailed as error:
        require(name, f"It is built from tools/{TOOLS[name].module}: {error}", present=False)
        raise AssertionError from error


def build(wanted: Tool, tell: Callable[[str], None] = lambda _: None) -> Path:
    """The program in the cache folder. Two builds at a time wait for each other."""
    folder = _cache(wanted)
    program = folder / wanted.name
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise BuildFailed("Go is missing; install Go 1.26 or later")
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        for left in folder.glob(f"{_SCRATCH}*"):  # by a build that was killed; Go itself keeps what it had compiled
            shutil.rmtree(left)
        if program.exists():
            return program
        with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
            source = Path(scratch) / "source"  # a tool may be named as its module
            shutil.copytree(MODULES / wanted.module, source)
            draft = Path(scratch) / wanted.name
            _compile(wanted, source, draft, tell)
            draft.replace(program)
    return program


def _cache(wanted: Tool) -> Path:
    digest = hashlib.sha256()
    module = MODULES / wanted.module
    for path in sorted(path for path in module.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(module)}\0".encode() + path.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "teal" / f"tools-{wanted.module}-{digest.hexdigest()[:16]}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile(wanted: Tool, source: Path, program: Path, tell: Callable[[str], None]) -> None:
    found = json.loads(_go(["mod", "download", "-json", wanted.versioned], source))
    for name in wanted.embeds:
        shutil.copyfile(Path(found["Dir"], name), source / wanted.package / Path(name).name)
    version = wanted.leading + str(found["Version"]).removeprefix("v")
    flags = " ".join(("-s -w", *(f"-X {variable}={version}" for variable in wanted.variables)))
    where = Path(found["Dir"]) if wanted.at_home else source
    tags = ("-tags", ",".join(wanted.tags))
    packages = len(_go(["list", *tags, "-deps", wanted.package], where).splitlines())
    command = ["go", "build", "-v", "-trimpath", *tags, "-ldflags", flags, "-o", str(program), wanted.package]
    began = told = time.monotonic()
    with subprocess.Popen(command, cwd=where, env=_environment(wanted), text=True, stderr=subprocess.PIPE) as process:
        said: list[str] = []
        for line in process.stderr or ():
            said.append(line.rstrip())
            if time.monotonic() - told > TOLD_SECONDS:
                told = time.monotonic()
                tell(f"{wanted.name}: {len(said)} of at most {packages} packages compiled, {told - began:.0f} s")
        if process.wait():
            raise BuildFailed("; ".join(said[-5:]))
    tell(f"{wanted.name} {version}: built in {time.monotonic() - began:.0f} s")


def _go(arguments: list[str], folder: Path) -> str:
    ended = subprocess.run(["go", *arguments], cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BuildFailed(ended.stderr.strip()[-500:])
    return ended.stdout


def _environment(wanted: Tool | None = None) -> dict[str, str]:
    # The modules stand alone: no workspace above them, no version control to ask, and go.mod as it is.
    alone = {**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    return {**alone, "CGO_ENABLED": "0"} if wanted and wanted.static else alone


def main(names: Sequence[str]) -> int:
    for wanted in [TOOLS[name] for name in names or TOOLS]:
        try:
            print(f"{wanted.name}: {build(wanted, lambda line: print(line, flush=True))}", flush=True)
        except BuildFailed as error:
            print(f"{wanted.name} did not build: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
