"""A node to try things on: `sudo python -m tests.node` starts it, says how to speak to it, and ends it at Ctrl-C or when it is killed."""

from __future__ import annotations

import contextlib
import signal

from tests.node import node


def main() -> None:
    """Runs until a signal ends it."""
    with node.start() as started:
        inner = started.machine
        enter = f"nsenter --target={inner.pid} --net --mount --pid"
        print(f"the node is ready after {started.ready_seconds:.0f} s; its logs: {inner.folder}")
        print(f"a shell on it: {enter} bash")
        print(f"any program of Kubernetes: {enter} PROGRAM --kubeconfig {inner.folder}/kubeconfig", flush=True)
        signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        main()
