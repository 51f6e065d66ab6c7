"""The page loads, and everything that it names, with the types that a browser needs to run it."""

from __future__ import annotations

import re
from typing import Final

from teal.release.probes.visit import Probe, ProbeVisit, WrongBehaviour

TYPES: Final = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_NAMED: Final = re.compile(r"""(?:src|href)="(/[^"#?]+)"|from "(\./[^"]+)"|import "(\./[^"]+)\"""")
MOST: Final = 50  # files to fetch: a page of twenty files names each several times


def ask(visit: ProbeVisit) -> None:
    wanted, seen = ["/"], {"/"}
    while wanted:
        path = wanted.pop()
        found = visit.writer.call("GET", path)
        kind = "text/html" if path == "/" else next((said for end, said in TYPES.items() if path.endswith(end)), "")
        said = found.headers.get("content-type", "nothing")
        if found.status_code != 200 or kind not in said or not found.content:
            raise WrongBehaviour(f"the page's {path} is {found.status_code}, {said}, {len(found.content)} bytes")
        if kind not in ("text/html", "javascript"):
            continue
        for match in _NAMED.finditer(found.text):
            named = next(group for group in match.groups() if group)
            whole = named if named.startswith("/") else path.rpartition("/")[0] + named[1:]
            if whole not in seen and len(seen) < MOST:
                seen.add(whole)
                wanted.append(whole)


PAGE: Final = Probe("page", "the page and all that it names load with their types", ask, again=False)
