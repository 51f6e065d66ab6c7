"""Every request with a body passes here first: who asks, how often and in which role is settled before a byte of the body is read.

The fast path begins here too: the busiest routes are answered without the framework's middleware, dependency solving and second validation. It takes
only requests that are in order: the body is validated by the route's own model and the route's own function answers. Everything else
(another path, no JSON, a field that is wrong) is left to the framework, which also makes the OpenAPI schema of these routes.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.access.authentication import demand
from app.catalog.keys import Principal, Role
from app.errors import UnsupportedMedia
from app.http.dependencies import RequireRole, Service, caller, signing
from app.http.json_body import BodyMemory, read_body
from app.http.unknown import takes_form
from contract.bodies import limit_bytes

_JSON: Final = b"application/json"
_OPEN: Final = "/v1/session"  # where a key is presented in the body
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_FORM: Final = b"multipart/form-data"  # read in parts, a large file through the disk


@dataclass(frozen=True, slots=True)
class FastRoute:
    """A POST route whose function takes body, request, service and principal by name. Its `path` is its name in metrics."""

    path: str
    model: type[BaseModel]
    role: Role
    answer: Callable[..., Awaitable[Response]]


def fast_route(router: APIRouter, answer: Callable[..., Awaitable[Response]]) -> FastRoute:
    """The route of this function, with the path, the body's model and the role as its declaration has them."""
    path = next(route.path for route in router.routes if isinstance(route, APIRoute) and route.endpoint is answer)
    hints = get_type_hints(answer, include_extras=True)
    needs = hints["principal"].__metadata__[0].dependency
    if not isinstance(needs, RequireRole):
        raise TypeError(f"{answer.__name__} must say which role it needs: Reader, Writing or Admin.")
    return FastRoute(path, hints["body"], needs.role, answer)


@dataclass(frozen=True, slots=True)
class RoleRule:
    """The role that a route needs, and whether it takes a form, for requests of these methods to paths of this form."""

    methods: frozenset[str]
    path: re.Pattern[str]
    role: Role
    form: bool


def role_rules(routers: Sequence[APIRouter]) -> tuple[RoleRule, ...]:
    """A rule for each route that declares a role and may have a body."""
    found = []
    for route in (route for router in routers for route in router.routes if isinstance(route, APIRoute)):
        methods = _WITH_BODY & (route.methods or set())
        needs = next((one.call for one in route.dependant.dependencies if isinstance(one.call, RequireRole)), None)
        if methods and needs is not None:
            found.append(RoleRule(methods, route.path_regex, needs.role, takes_form(route)))
    return tuple(found)


class FastPath:
    """ASGI in front of the framework's application, whose state and error handlers it uses."""

    def __init__(self, app: FastAPI, routes: tuple[FastRoute, ...], rules: tuple[RoleRule, ...]) -> None:
        self._app = app
        self._routes: Mapping[str, FastRoute] = {route.path: route for route in routes}
        self._rules = rules
        self._room = BodyMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        with contextlib.ExitStack() as room:
            await self._answer(scope, receive, send, room)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, room: contextlib.ExitStack) -> None:
        route = self._routes.get(scope["path"]) if scope["method"] == "POST" else None
        scope["app"] = self._app
        request = Request(scope, receive)
        unexpected: Exception | None = None
        onward = receive
        response: Response | None = None
        try:
            service: Service = self._app.state.service
            rule = self._rule(scope)
            principal = await self._admitted(request, service, rule)
            if rule is not None and rule.form:
                _refuse_other_forms(scope)
            else:  # also what says that it is a form where none is taken: it would be held whole
                room.enter_context(self._room.keep(_announced_bytes(scope, service)))
                raw = await read_body(request)
                onward = _again(raw, receive)
                fast = route is not None and not scope["query_string"] and _content_type(scope) == _JSON
                body = _validated(route.model, raw) if fast and route is not None else None
                if route is not None and body is not None:
                    scope["route"] = route
                    response = await route.answer(body=body, request=request, service=service, principal=principal)
        except Exception as error:  # noqa: BLE001 - every kind has its handler, the last one for all the others
            kind = next(kind for kind in type(error).__mro__ if kind in self._app.exception_handlers)
            handler: Callable[[Request, Exception], Any] = self._app.exception_handlers[kind]
            response = await handler(request, error)
            unexpected = error if kind is Exception else None
        if response is None:
            await self._app(scope, onward, send)
            return
        await response(scope, receive, send)
        if unexpected is not None:
            raise unexpected  # as the framework does, so that it is logged

    async def _admitted(self, request: Request, service: Service, rule: RoleRule | None) -> Principal | None:
        """Who asks, within its limits and in the role that the route needs; None where the key is in the body itself."""
        if request.scope["path"] == _OPEN:
            await signing(request, service)
            return None
        principal = await caller(request, service)
        if rule is not None:
            demand(principal, rule.role)
        return principal

    def _rule(self, scope: Scope) -> RoleRule | None:
        return next((rule for rule in self._rules if scope["method"] in rule.methods and rule.path.match(scope["path"])), None)


def _refuse_other_forms(scope: Scope) -> None:
    """Before anything is read: 19 MB of `&`, sent as the other kind of form, took a process 9 s."""
    if (given := _content_type(scope)) != _FORM:
        raise UnsupportedMedia(
            f"A file is sent as {_FORM.decode()}; this is {given[:60].decode('latin-1') or 'nothing that has a type'!r}."
        )


def _content_type(scope: Scope) -> bytes:
    given: bytes = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return given.partition(b";")[0].strip().lower()


def _announced_bytes(scope: Scope, service: Service) -> int:
    """How much of the body may come: what is declared, or the path's limit where nothing is; nothing of one that is too large, because
    the middleware refuses it unread."""
    headers = dict(scope["headers"])
    length, limit = headers.get(b"content-length", b""), limit_bytes(scope["path"], service.settings.max_document_bytes)
    if length.isdigit():
        return int(length) if int(length) <= limit else 0
    return limit if b"transfer-encoding" in headers else 0


def _validated(model: type[BaseModel], raw: bytes) -> BaseModel | None:
    try:
        return model.model_validate(json.loads(raw))  # not model_validate_json: it refuses what the framework's way takes
    except (ValueError, RecursionError, ValidationError):
        return None


def _again(raw: bytes, receive: Receive) -> Receive:
    """Gives the body, which was read here already, to the framework once more, and then whatever the client sends after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return replay
