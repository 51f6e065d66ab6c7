"""One run of a Pulumi program, in a process of its own: language_host.py starts this file and writes the engine's request to it."""

from __future__ import annotations

import asyncio
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi
from pulumi import runtime
from pulumi.runtime.proto import language_pb2

TOLD = 32  # the exit code when what went wrong is in the engine's log


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the engine ends its plugins so; a stack trace would say nothing
    request: Any = language_pb2.RunRequest.FromString(sys.stdin.buffer.read())
    runtime.reset_options(
        project=request.project,
        stack=request.stack,
        root_directory=request.info.root_directory,
        parallel=request.parallel,
        engine_address=sys.argv[1],
        monitor_address=request.monitor_address,
        preview=request.dryRun,
        organization=request.organization or "organization",
    )
    runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
    program = Path(request.info.program_directory, request.info.entry_point)
    sys.argv = [str(program), *request.args]
    try:
        asyncio.run(_run(program, request.parallel))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return TOLD
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:  # then the engine is ending, and knows why
            raise
        return TOLD
    except Exception:  # noqa: BLE001 - whatever a program raises is the engine's to tell
        pulumi.log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
        return TOLD
    return 0


async def _run(program: Path, parallel: int) -> None:
    # Each resource in the making holds a thread, and some of them wait for others.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max(parallel, 1) * 4))

    def execute() -> None:
        runpy.run_path(str(program), run_name="__main__")

    await runtime.run_in_stack(execute)


if __name__ == "__main__":
    sys.exit(main())
