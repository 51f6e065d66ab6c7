"""Where everything of one laptop stack lives: the paths under `.teal/`."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import teal
from teal.errors import BadInput
from teal.record.model import Color

SOCKET_PATH_BYTES = 100  # the kernel's sun_path holds 108; supervisor appends a suffix of up to 7 while it binds


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths only: making one creates nothing."""

    home: Path

    @property
    def state_file(self) -> Path:
        return self.home / "stack.json"

    @property
    def state_copy(self) -> Path:
        """The copy of the state file, used when the state file is damaged."""
        return self.home / "stack.copy.json"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def corpus(self) -> Path:
        return self.home / "corpus"

    @property
    def pages(self) -> Path:
        return self.home / "pages"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def admin_key(self) -> Path:
        return self.keys / "admin.key"

    @property
    def redis_password(self) -> Path:
        return self.keys / "redis.password"

    @property
    def traffic(self) -> Path:
        """Folders of markers, one per share, and the link `current` to the one in force."""
        return self.home / "traffic"

    @property
    def versions(self) -> Path:
        return self.home / "versions"

    @property
    def environments(self) -> Path:
        return self.home / "environments"

    @property
    def releases(self) -> Path:
        """The record, and one document per release."""
        return self.home / "releases"

    @property
    def steering(self) -> Path:
        """The operator's own file with hooks and notifications of releases."""
        return self.home / "release.yaml"

    def probe_secret(self, color: Color) -> Path:
        return self.keys / f"probe-{color}"

    @property
    def metrics_token(self) -> Path:
        return self.keys / "metrics.token"

    @property
    def backups(self) -> Path:
        return self.home / "backups"

    @property
    def backup_key(self) -> Path:
        """The key that decrypts the snapshots."""
        return self.keys / "backup.key"

    @property
    def caddy(self) -> Path:
        return self.home / "caddy"

    @property
    def ca(self) -> Path:
        """Root certificate that Caddy makes at its first start; clients verify against it."""
        return self.caddy / "pki" / "authorities" / "local" / "root.crt"

    @property
    def run(self) -> Path:
        """Folder of sockets and pid files. If its path is too long for a unix socket, it is a shorter folder outside and
        `.teal/run` links to it, so that a shell with another TMPDIR finds the same one."""
        inside = self.home / "run"
        if inside.is_symlink():
            return Path(os.readlink(inside))
        if len(os.fsencode(inside / "supervisor.sock")) <= SOCKET_PATH_BYTES:
            return inside
        name = sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"teal-{os.getuid()}-{name}"

    @property
    def socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def pidfile(self) -> Path:
        return self.run / "supervisord.pid"


def locate_layout(environ: Mapping[str, str]) -> Layout:
    """TEAL_HOME, else `.teal` in the project this command is installed from, else in the current folder. Links are followed, so that a stack
    is the same one under each of its names."""
    if given := environ.get("TEAL_HOME"):
        home = Path(given).expanduser().absolute()
    else:
        project = Path(teal.__file__).resolve().parents[1]
        home = (project if (project / "pyproject.toml").is_file() else Path.cwd()) / ".teal"
    home = Path(os.path.realpath(home))
    # supervisor's INI parser ends values at " ;" and " #" even inside quotes, and Caddy's ends them at quotes.
    if any(bad in str(home) for bad in (" ;", " #", "\n", '"', "'", "{", "}")):
        raise BadInput(
            "The folder's name holds characters that configuration files cut at",
            where=str(home),
            next="TEAL_HOME=/another/folder teal up",
        )
    return Layout(home)


def create_folders(layout: Layout) -> None:
    """Create the folders, readable only by their owner. Raises BadInput with the system's reason when they cannot be made."""
    with _in_words(layout):
        _prepare(layout)


def make_home(layout: Layout) -> None:
    """Create only the outermost folder, for the lock. Raises BadInput as `create_folders` does."""
    with _in_words(layout):
        layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)


@contextmanager
def _in_words(layout: Layout) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"The folder of the stack cannot be made or written: {error.strerror or error}", where=str(error.filename or layout.home),
                       next="TEAL_HOME=/your/own/folder teal up, or mend what is there") from error  # fmt: skip


def _prepare(layout: Layout) -> None:
    layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    _link_run(layout)
    _refuse_foreign(layout.run)
    for folder in (layout.conf, layout.conf / "parts", layout.logs, layout.data, layout.models, layout.corpus, layout.pages,
                   layout.keys, layout.caddy, layout.run, layout.traffic, layout.versions):  # fmt: skip
        folder.mkdir(exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise BadInput("The folder belongs to another user", where=str(folder), next="TEAL_HOME=/your/own/folder teal up")
    _refuse_foreign(layout.run)  # another user may have made it first
    layout.run.chmod(0o700)


def _refuse_foreign(run: Path) -> None:
    """Refuse a socket folder that another user made: outside `.teal/` its parent is a folder where any user may create that name
    first. Once it is ours and no link, no other user can replace it, because such parents have the sticky bit."""
    if is_foreign(run):
        raise BadInput(
            "The folder of the sockets is a link or belongs to another user: somebody made it before this command did",
            where=str(run),
            next=f"remove {run}, then `teal up`; or TMPDIR=/another/short/folder teal up",
        )


def is_foreign(run: Path) -> bool:
    """Whether `run` exists and is not a folder of this user."""
    try:
        found = run.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid()


def _link_run(layout: Layout) -> None:
    """Make `.teal/run` a link to the folder of sockets when this is outside. A link whose target was deleted (an emptied /tmp),
    or taken by another user, is replaced."""
    inside, run = layout.home / "run", layout.run
    if inside.is_symlink() and (not run.parent.is_dir() or is_foreign(run)):
        inside.unlink()
        run = layout.run
    if run != inside and not inside.is_symlink():
        if inside.is_dir():
            inside.rmdir()  # an empty folder from a version that did not use it
        inside.symlink_to(run)
