"""Pulumi's Python language host, of the tests' own: the engine starts it beside its command, and it runs programs and policy packs.

Pulumi's own host is a Go program that comes with Pulumi's releases and is in no package registry. This one does what the programs of this
repository need: it runs each in a process of its own (program.py), in the virtual environment that the project names. It installs nothing.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import IO, Any, Final

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

PROGRAM: Final = Path(__file__).with_name("program.py")
TOLD: Final = 32  # a program's exit code when it has said itself what went wrong
_CALLS: Final = 16  # at a time: a program, its policy packs, and the engine's short questions


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """`engine_address`: where programs and packs write their log."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self._running: set[subprocess.Popen[bytes]] = set()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.1")

    def GetRequiredPackages(self, _request: Any, _context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()  # the tests say where providers are: PULUMI_DEBUG_PROVIDERS

    def Run(self, request: Any, context: Any) -> Any:
        """A program, until it ends."""
        process = subprocess.Popen(
            [_interpreter(request.info), "-u", "-P", str(PROGRAM), self._engine_address], cwd=request.pwd, stdin=subprocess.PIPE
        )
        self._keep(process, context)
        process.communicate(request.SerializeToString())
        self._running.discard(process)
        if process.returncode in (0, TOLD):
            return language_pb2.RunResponse(bail=process.returncode == TOLD)
        return language_pb2.RunResponse(error=f"the program ended with exit code {process.returncode}")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """A policy pack: `pulumi.policy` serves it, and its first line says at which port."""
        if request.kind != "analyzer":
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"this language host runs programs and policy packs, not a {request.kind}"
            )
        process = subprocess.Popen(
            [_interpreter(request.info), "-u", "-m", "pulumi.policy", *request.args, request.info.program_directory],
            cwd=request.pwd, env=dict(line.split("=", 1) for line in request.env),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._keep(process, context)
        yield from _lines(process)
        self._running.discard(process)
        yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def _keep(self, process: subprocess.Popen[bytes], context: Any) -> None:
        self._running.add(process)
        context.add_callback(process.terminate)  # when the engine takes the call back, and when it has ended

    def end(self) -> None:
        for process in tuple(self._running):
            process.terminate()


def _interpreter(info: Any) -> str:
    """Python of the virtual environment that the project's `runtime` names; without one, this."""
    options: Mapping[str, Any] = json_format.MessageToDict(info.options)
    folder = options.get("virtualenv")
    return str(Path(info.root_directory, folder, "bin", "python")) if folder else sys.executable


def _lines(process: subprocess.Popen[bytes]) -> Iterator[Any]:
    """What it writes, as it writes it."""
    said: queue.Queue[Any] = queue.Queue()

    def read(name: str, stream: IO[bytes]) -> None:
        for line in stream:
            said.put(language_pb2.RunPluginResponse(**{name: line}))
        said.put(None)

    streams = {"stdout": process.stdout, "stderr": process.stderr}
    for name, stream in streams.items():
        threading.Thread(target=read, args=(name, stream), daemon=True).start()
    for _ in streams:
        yield from iter(said.get, None)


def main() -> None:
    """Say the port in the first line, as every plugin does; serve until the engine ends this, or has itself ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    host = LanguageHost(sys.argv[-1])
    server = grpc.server(futures.ThreadPoolExecutor(_CALLS))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    try:
        os.read(sys.stdin.fileno(), 1)  # the engine holds the other end, and writes nothing: this waits for its end
    except KeyboardInterrupt:
        pass
    finally:
        host.end()
        server.stop(None)
        os._exit(0)  # the threads that wait for the programs have nobody to answer


if __name__ == "__main__":
    main()
