"""How pip on this machine reaches its registry, as a pip.conf for the image's build: `python3 -m tests.image.registries`.

Standard library only: it runs on a bare machine, before anything is installed.
"""

from __future__ import annotations

import configparser
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CA = "/mnt/ca.crt"  # where `.ci/image` mounts this machine's certificate bundle during the build
_OF_THIS_MACHINE = ("cert", "client-cert", "find-links", "cache-dir", "log", "config-file")  # paths that the build does not see


def pip_conf(texts: Sequence[str], environ: Mapping[str, str]) -> str:
    """The settings of pip configuration files (later ones win) and of PIP_* variables (they win), with paths of this machine left out."""
    merged: dict[str, str] = {}
    for text in texts:
        parser = configparser.RawConfigParser()
        parser.read_string(text)
        for section in ("global", "install"):
            if parser.has_section(section):
                merged.update({name.replace("_", "-"): value for name, value in parser.items(section)})
    for name, value in environ.items():
        if name.startswith("PIP_"):
            merged[name[len("PIP_") :].lower().replace("_", "-")] = value
    for name in _OF_THIS_MACHINE:
        merged.pop(name, None)
    out = configparser.RawConfigParser()
    out["global"] = merged | {"cert": CA}
    written = io.StringIO()
    out.write(written)
    return written.getvalue()


def main() -> None:
    """Write the pip.conf to standard output."""
    home = Path.home()
    files = (Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf")
    named = os.environ.get("PIP_CONFIG_FILE")
    texts = [path.read_text(encoding="utf-8") for path in (*files, *([Path(named)] if named else [])) if path.is_file()]
    sys.stdout.write(pip_conf(texts, os.environ))


if __name__ == "__main__":
    main()
