"""Lists who has locked a Pulumi stack whose state is kept in files or in S3:
Pulumi's own backend writes lock files beside the state.

Pulumi has no command that lists locks, and `pulumi cancel` removes all of them, so they must be checked here before a cancel. The
place and the form are those of `pkg/backend/diy/lock.go` of Pulumi 3.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import psutil

from teal.aws.session import translate_aws_errors

_FOLDER: Final = ".pulumi/locks/organization"
_COMMAND: Final = "pulumi"


def lock_holders(backend_url: str, project: str, stack: str) -> tuple[str, ...]:
    """One line for each lock: who took it, and when. Empty when there is none, or when the backend keeps its locks elsewhere."""
    return tuple(sorted(_words(lock) for lock in _locks(backend_url, project, stack)))


def holders_running_here(backend_url: str, project: str, stack: str) -> list[psutil.Process]:
    """The `pulumi` processes of this machine that hold a lock and still run. One outlives a releaser that was killed alone, and goes on."""
    found = []
    for lock in _locks(backend_url, project, stack):
        pid = lock.get("pid")
        if lock.get("hostname") != socket.gethostname() or not isinstance(pid, int):
            continue
        try:
            process = psutil.Process(pid)
            if process.name() == _COMMAND:  # the number may have been given to another program since
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def _locks(backend_url: str, project: str, stack: str) -> Iterator[Mapping[str, object]]:
    folder = f"{_FOLDER}/{project}/{stack}"
    match urlsplit(backend_url).scheme:
        case "file":
            bodies = _in_files(Path(backend_url.removeprefix("file://")) / folder)
        case "s3":
            bodies = _in_s3(backend_url, folder)
        case _:
            bodies = iter(())
    for body in bodies:
        try:
            said = json.loads(body)
        except ValueError:
            said = {}
        yield said if isinstance(said, dict) else {}


def _in_files(folder: Path) -> Iterator[bytes]:
    for path in folder.glob("*.json"):
        try:
            yield path.read_bytes()
        except FileNotFoundError:
            continue  # released since the listing


def _in_s3(url: str, folder: str) -> Iterator[bytes]:
    import boto3

    place = urlsplit(url)
    region = parse_qs(place.query).get("region", [None])[0]
    prefix = "/".join(part for part in (place.path.strip("/"), folder) if part)
    with translate_aws_errors("Looking for the stack's locks", url):
        client = boto3.client("s3", region_name=region)
        for row in client.list_objects_v2(Bucket=place.netloc, Prefix=f"{prefix}/").get("Contents", []):
            try:
                yield client.get_object(Bucket=place.netloc, Key=row["Key"])["Body"].read()
            except client.exceptions.NoSuchKey:
                continue  # released since the listing


def _words(lock: Mapping[str, object]) -> str:
    who = f"{lock.get('username', 'somebody')}@{lock.get('hostname', 'somewhere')} (pid {lock.get('pid', '?')})"
    return f"locked by {who} since {lock.get('timestamp', 'an unknown time')}"
