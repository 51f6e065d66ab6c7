"""The `teal` command on the place of place.py: its own, but for the rules of a release, which are shorter (TEST_RELEASE_RULES, JSON):
`python -m tests.node.release.releaser release --stack dev ...`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace

from teal import cli
from teal.aws import target
from teal.ports.target import Target

_opened = target.aws


def _with_short_rules(stack: str, environ: Mapping[str, str]) -> Target:
    made = _opened(stack, environ)
    return replace(made, rules=replace(made.rules, **json.loads(environ.get("TEST_RELEASE_RULES", "{}"))))


if __name__ == "__main__":
    target.aws = _with_short_rules
    sys.exit(cli.run(sys.argv[1:]))
