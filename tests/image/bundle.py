"""An OCI bundle that runs a built image as compose.yaml does: its own user, a read-only root, no capabilities, no network but loopback.

    buildah inspect --type image IMAGE | python3 -m tests.image.bundle ROOTFS DATA BUNDLE [COMMAND...]

writes BUNDLE/config.json. User, environment, folder and (without COMMAND) command are those of the image; /data is the folder DATA,
/tmp a fresh tmpfs. Standard library only: it runs on a bare machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_TMP_SIZE = "256m"  # as in compose.yaml
_MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def runtime_config(image: dict[str, Any], rootfs: str, data: str, command: list[str]) -> dict[str, Any]:
    """The runtime's config.json for the image's OCI configuration. ValueError when the image names no numeric user."""
    user, _, group = image.get("User", "").partition(":")
    if not (user.isdigit() and group.isdigit()):
        raise ValueError(f"the image's USER is {image.get('User')!r}; it must be a numeric uid:gid")
    small = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group)},
            "args": command or [*image.get("Entrypoint", []), *image["Cmd"]],
            "env": image["Env"],
            "cwd": image["WorkingDir"],
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": rootfs, "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*small, "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*small, "ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [*small, "mode=1777", f"size={_TMP_SIZE}"]},
            {"destination": "/data", "type": "bind", "source": data, "options": ["bind", "rw", "nosuid", "nodev"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }


def main() -> None:
    """Read `buildah inspect --type image` from standard input and write the bundle."""
    rootfs, data, bundle, *command = sys.argv[1:]
    image = json.load(sys.stdin)["OCIv1"]["config"]
    Path(bundle).mkdir(parents=True, exist_ok=True)
    (Path(bundle) / "config.json").write_text(json.dumps(runtime_config(image, rootfs, data, command)), encoding="utf-8")


if __name__ == "__main__":
    main()
