"""The `Traffic` port on the laptop: Caddy looks at each request for marker files in a folder; one rename replaces the folder.

Caddy draws one of 256 buckets per request and sends it to green when the folder `current` has a file of that name. A signed-in
session has one of 64 lanes instead, for its whole life, so that a page does not change versions between two clicks
(docs/decisions/0013-who-stays.md). No configuration is reloaded and no API is called, so open connections are not affected.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from teal.client.entry import ColorEndpoint
from teal.errors import OperatorError
from teal.laptop.layout import Layout
from teal.ports.traffic import Weights
from teal.record.model import Color

SESSIONS = 64  # lanes of signed-in people: the first character of a session's random token (base64url) is its lane
BUCKETS = 256  # two hexadecimal digits: a share is accurate to 0.2 %
CURRENT = "current"
LINK = ".link-"  # beginning of the names of links that are prepared and not yet renamed to CURRENT
TRIES = 20  # for a change that no lease protects: a try fails only when another change succeeded at the same moment
PROBES = {"probe-green"}  # the file that a probe of green looks for; a probe of blue looks for one that never exists


class CaddyTrafficFailed(OperatorError):
    """The load balancer has other shares than those that were set."""

    code = "traffic-failed"


class CaddyTraffic:
    """The `Traffic` port. `folder` contains the markers.
    Setting shares costs a rename (under 1 ms); the next request sees them."""

    def __init__(self, folder: Path, entries: Mapping[Color, ColorEndpoint]) -> None:
        self._folder = folder
        self._entries = dict(entries)

    def read(self) -> Weights:
        try:
            name = os.readlink(self._folder / CURRENT)
            green = int(name.removeprefix("green-"))
            return Weights(100 - green, green)
        except (OSError, ValueError) as error:
            raise CaddyTrafficFailed(
                "The shares of the colors cannot be read", where=str(self._folder / CURRENT), next="teal up"
            ) from error

    def set(self, weights: Weights, *, check: Callable[[], None] | None = None) -> None:
        """Put the shares in force, as the port says.
        Every `set` unlinks all other prepared links, so a process that was suspended meanwhile fails."""
        for _ in range(1 if check else TRIES):
            try:
                markers = self._markers(weights)
                link = self._folder / f"{LINK}{uuid.uuid4().hex}"
                link.symlink_to(markers.name)
                if check is not None:
                    try:
                        check()
                    except BaseException:
                        link.unlink(missing_ok=True)
                        raise
                for other in self._folder.glob(f"{LINK}*"):
                    if other != link:
                        other.unlink(missing_ok=True)
                os.replace(link, self._folder / CURRENT)
                break
            except FileNotFoundError:
                continue  # another change removed our link between preparing and renaming it
            except OSError as error:
                raise CaddyTrafficFailed(
                    f"The shares could not be set ({error.strerror})", where=str(self._folder), next="teal status"
                ) from error
        else:
            raise CaddyTrafficFailed(
                "Somebody else set the shares at the same moment: nothing was changed here",
                where=str(self._folder),
                next="teal history",
            )
        if (found := self.read()) != weights:
            raise CaddyTrafficFailed(f"{weights} was set and {found} is in force", where=str(self._folder), next="teal history")

    def entry(self, color: Color) -> ColorEndpoint:
        return self._entries[color]

    def _markers(self, weights: Weights) -> Path:
        """The folder for these shares. It is completed before it gets its name, and made again when its content is wrong."""
        folder = self._folder / f"green-{weights.green:03d}"
        wanted = marker_names(weights)
        if folder.is_dir() and {path.name for path in folder.iterdir()} == wanted:
            return folder
        making = self._folder / f".{uuid.uuid4().hex}"
        making.mkdir(mode=0o700)
        for name in wanted:
            (making / name).touch()
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rename(making, folder)
        except OSError:
            shutil.rmtree(making, ignore_errors=True)
            if {
                path.name for path in folder.iterdir()
            } != wanted:  # another process made the same folder at this moment, which is as good
                raise
        return folder


def open_caddy(layout: Layout, entries: Mapping[Color, ColorEndpoint]) -> CaddyTraffic:
    """Make the adapter that teal/adapters.py registers as `caddy`."""
    return CaddyTraffic(layout.traffic, entries)


def marker_names(weights: Weights) -> set[str]:
    """Names of the buckets and lanes that go to green, and the probes' marker.
    A larger share includes those of every smaller one."""
    buckets = {f"{bucket:02x}" for bucket in range(round(BUCKETS * weights.green / 100))}
    return buckets | {f"session-{lane:02}" for lane in range(round(SESSIONS * weights.green / 100))} | PROBES
