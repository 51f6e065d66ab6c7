"""A PostgreSQL server in a folder of its own, on a Unix socket, and a pair of which one follows the other."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.services.certificates import self_signed

CONNECTIONS = 100  # as PostgreSQL's own default


class Server:
    """`home`: holds its data, its log and its socket. Started and stopped by its own programs, as another user where this one is root."""

    def __init__(self, programs: Path, home: Path, *, port: int = 5432, listen: str = "") -> None:
        self._programs, self.home, self.data, self._port, self._listen = programs, home, home / "data", port, listen
        # initdb refuses root
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    @property
    def url(self) -> str:
        return f"postgresql://teal@/postgres?host={self.home}&port={self._port}"

    def create(self) -> None:
        self._run("initdb", "-D", self.data, "-U", "teal", "--auth=trust", "-E", "UTF8", "--no-sync")

    def require_tls(self, host: str, clients: str) -> None:
        """Called before its start: who comes by TCP, from these addresses (CIDR), needs TLS and a password. The socket trusts everybody."""
        certificate, key = self.data / "server.crt", self.data / "server.key"  # PostgreSQL's own names for them
        self_signed(certificate, key, [host])
        for file in (certificate, key):
            shutil.chown(file, self.data.owner(), self.data.group())
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("ssl = on\n")
        (self.data / "pg_hba.conf").write_text(f"local all all trust\nhostssl all all {clients} scram-sha-256\n")

    def follow(self, primary: Server) -> None:
        """A copy of the primary, which follows it once it is started."""
        self._run(
            "pg_basebackup",
            "-D",
            self.data,
            "-h",
            primary.home,
            "-p",
            str(primary._port),
            "-U",
            "teal",
            "-R",
            "--checkpoint=fast",
        )

    def demote(self, primary: Server) -> None:
        """Started the next time, it follows the other one. Only while it is stopped, and was the other's primary until then."""
        (self.data / "standby.signal").touch()
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write(
                f"\nprimary_conninfo = 'host={primary.home} port={primary._port} user=teal'\nrecovery_target_timeline = 'latest'\n"
            )
        for name in ("standby.signal", "postgresql.auto.conf"):
            if os.geteuid() == 0:
                shutil.chown(self.data / name, self._user)

    def promote(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def start(self) -> None:
        options = (
            f"-p {self._port} -c listen_addresses={self._listen} -c unix_socket_directories={self.home} -c fsync=off "
            f"-c shared_buffers=32MB -c max_connections={CONNECTIONS}"
        )
        self._run("pg_ctl", "-D", self.data, "-o", options, "-l", self.home / "log", "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def _run(self, program: str, *arguments: str | Path) -> None:
        how: dict[str, Any] = {"user": self._user} if os.geteuid() == 0 else {}
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.home,
            **how,
        )


def home_of(url: str) -> Path:
    """The folder of the server at such an address, which names its socket's folder."""
    return Path(parse_qs(urlsplit(url).query)["host"][0])


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the server's user may write to, gone at exit; a socket's path has at most 107 characters."""
    home = Path(tempfile.mkdtemp(prefix="teal-pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running(programs: Path, *, port: int = 5432, listen: str = "") -> Iterator[Server]:
    """A server that runs until the exit. `listen`: an address besides the socket."""
    with folder() as home:
        server = Server(programs, home, port=port, listen=listen)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def pair(programs: Path) -> Iterator[tuple[Server, Server]]:
    """A primary and a replica that follows it."""
    with running(programs) as primary, folder() as home:
        replica = Server(programs, home)
        replica.follow(primary)
        replica.start()
        try:
            yield primary, replica
        finally:
            replica.stop()
