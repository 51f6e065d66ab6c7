"""Refuses unknown query parameters and form fields for all routes, so that a misspelt option is not silently ignored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_origin

from fastapi import Request, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.errors import InvalidRequest


def takes_form(route: APIRoute) -> bool:
    """Whether the route takes a form with a file instead of JSON."""
    return any(isinstance(field.field_info, params.Form) for field in route.dependant.body_params)


async def refuse_unknown(request: Request) -> None:
    """Raises InvalidRequest for a query parameter or form field that the route does not have, or that
    is repeated where only one is allowed."""
    route: APIRoute = request.scope["route"]
    _check("query parameter", request.query_params.multi_items(), _known(route.dependant, "query_params"))
    if takes_form(route):  # the framework has already read it, within the limits that `create_app` sets
        _check("form field", (await request.form()).multi_items(), _known(route.dependant, "body_params"))


def _check(what: str, given: Iterable[tuple[str, object]], known: dict[str, bool]) -> None:
    seen: set[str] = set()
    for name, _ in given:
        if name not in known:
            can = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            raise InvalidRequest(f"This route has no {what} {name[:64]!r}: {can}.")
        if name in seen and not known[name]:
            raise InvalidRequest(f"The {what} {name!r} came more than once, and this route takes one of it in a request.")
        seen.add(name)


def _known(dependant: Dependant, kind: str) -> dict[str, bool]:
    """The names of the route's parameters, each with whether it may be repeated."""
    return {field.alias: _is_list(field.field_info.annotation) for one in _flat(dependant) for field in getattr(one, kind)}


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _flat(inner)


def _is_list(annotation: Any) -> bool:
    return any(get_origin(part) is list for part in (annotation, *getattr(annotation, "__args__", ())))
