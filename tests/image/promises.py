"""What compose.yaml promises, checked in the form that Docker Compose resolved: `python3 -m tests.image.promises COMPOSE_JSON CADDYFILE`.

Writes the inline Caddyfile to CADDYFILE, for Caddy to judge. Standard library only: it runs on a bare machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_SERVICE = ("app-1", "app-2", "worker", "migrate")  # containers of our image
_WAITED_FOR = ("app-1", "app-2", "postgres", "redis", "elasticsearch")  # others start when these are healthy


def broken_promises(project: dict[str, Any]) -> list[str]:
    """One sentence for each promise that the resolved project breaks; none when it keeps all."""
    services: dict[str, dict[str, Any]] = project["services"]
    broken = []
    for name, service in services.items():
        ports = service.get("ports") or []
        if name != "caddy" and ports:
            broken.append(f"{name} publishes ports; only caddy may")
        broken += [f"{name} publishes {port['target']} beyond loopback" for port in ports if port.get("host_ip") != "127.0.0.1"]
        if "no-new-privileges:true" not in service.get("security_opt", []):
            broken.append(f"{name} may gain privileges")
    for name in _SERVICE:
        service = services[name]
        if not service.get("read_only"):
            broken.append(f"{name} has a writable root")
        if service.get("user") != "10001:10001" or service.get("cap_drop") != ["ALL"]:
            broken.append(f"{name} does not run as 10001:10001 without capabilities")
    for name in _WAITED_FOR:
        check = services[name].get("healthcheck") or {}
        if check.get("disable") or (name not in _SERVICE and not check.get("test")):
            broken.append(f"{name} has no health check")
    for name in ("postgres", "redis", "elasticsearch"):
        if list(services[name]["networks"]) != ["inner"]:
            broken.append(f"{name} is on a network other than inner")
    if not project["networks"]["inner"].get("internal"):
        broken.append("the inner network reaches outside")
    return broken


def main() -> None:
    """Exit 1 with the broken promises."""
    source, caddyfile = sys.argv[1:]
    project = json.loads(Path(source).read_text(encoding="utf-8"))
    Path(caddyfile).write_text(project["configs"]["caddyfile"]["content"], encoding="utf-8")
    broken = broken_promises(project)
    if broken:
        sys.exit("compose.yaml: " + "; ".join(broken))
    print(
        "accepted; the three passwords have no defaults; only caddy is published, on loopback; our containers are read-only and non-root"
    )


if __name__ == "__main__":
    main()
