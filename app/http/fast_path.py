"""ASGI application in front of the framework. It authenticates every API request with a body, and checks its limits and its
role, before a byte of the body is read.

It is also the fast path: the busiest routes are answered without the framework's middleware, dependency resolution and second
validation. The fast path handles valid requests only, with the route's own body model and the route's own function. Every other
request (another path, no JSON, an invalid field) is left to the framework, which also makes the OpenAPI schema of these routes.
"""

from __future__ import annotations

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
from app.http.dependencies import RequireRole, Service, admit, signing
from app.http.json_body import BodyMemory, BodyReader
from app.http.unknown import takes_form
from contract.bodies import limit_bytes

_JSON: Final = b"application/json"
_OPEN: Final = "/v1/session"  # the only path that takes the key in the body
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_FORM: Final = b"multipart/form-data"  # read in parts by the framework, which writes large files to disk


@dataclass(frozen=True, slots=True)
class FastRoute:
    """A POST route whose function takes `body`, `request`, `service` and `principal` by name.
    Metrics show the route by its `path`."""

    path: str
    model: type[BaseModel]
    role: Role
    answer: Callable[..., Awaitable[Response]]


def fast_route(router: APIRouter, answer: Callable[..., Awaitable[Response]]) -> FastRoute:
    """Make a FastRoute from the declaration of a route's function: its path, the model of its body and its role."""
    path = next(route.path for route in router.routes if isinstance(route, APIRoute) and route.endpoint is answer)
    hints = get_type_hints(answer, include_extras=True)
    needs = hints["principal"].__metadata__[0].dependency
    if not isinstance(needs, RequireRole):
        raise TypeError(f"{answer.__name__} must say which role it needs: Reader, Writing or Admin.")
    return FastRoute(path, hints["body"], needs.role, answer)


@dataclass(frozen=True, slots=True)
class RoleRule:
    """The role that requests with these methods and a matching path need; `form`: the route takes a form."""

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
        self._memory = BodyMemory()
        self._bodies = BodyReader()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        request = Request(scope, receive)
        route = self._routes.get(scope["path"]) if scope["method"] == "POST" else None
        onward, reserved_bytes = receive, 0
        response: Response | None = None
        unexpected: Exception | None = None
        try:
            try:
                service: Service = self._app.state.service
                role, form = self._needs(scope) if route is None else (route.role, False)
                principal = await self._admitted(request, service, role)
                if form:
                    _refuse_other_forms(scope)
                else:  # also a form sent to a route that takes none: the framework would keep all of it in memory
                    reserved_bytes = self._memory.reserve(_announced_bytes(scope, service))
                    raw = await self._bodies.read(receive)
                    onward = _again(raw, receive)
                    fast = route is not None and not scope["query_string"] and _content_type(scope) == _JSON
                    body = _validated(route.model, raw) if fast and route is not None else None
                    if route is not None and body is not None:
                        scope["route"] = route
                        await service.answering.view.current()  # so that the answer is current, even from a cache
                        response = await route.answer(body=body, request=request, service=service, principal=principal)
            except Exception as error:  # noqa: BLE001 - every kind has its handler, the last one for all the others
                kind = next(kind for kind in type(error).__mro__ if kind in self._app.exception_handlers)
                handler: Callable[[Request, Exception], Any] = self._app.exception_handlers[kind]
                response = await handler(request, error)
                unexpected = error if kind is Exception else None
            if response is None:
                await self._app(scope, onward, send)
            else:
                await response(scope, receive, send)
            if unexpected is not None:
                raise unexpected  # raised again as the framework does, so that it is logged
        finally:
            self._memory.release(reserved_bytes)

    async def _admitted(self, request: Request, service: Service, role: Role | None) -> Principal | None:
        """The authenticated caller, within its limits and with the role that the route
        needs; None where the key is in the body."""
        if request.scope["path"] == _OPEN:
            await signing(request, service)
            return None
        principal = await admit(request, service)
        return principal if role is None else demand(principal, role)

    def _needs(self, scope: Scope) -> tuple[Role | None, bool]:
        """The role that the request's route needs, and whether it takes a form; None for a path that no route with a role has."""
        for rule in self._rules:
            if scope["method"] in rule.methods and rule.path.match(scope["path"]):
                return rule.role, rule.form
        return None, False


def _refuse_other_forms(scope: Scope) -> None:
    """Refuse a form that is not multipart before anything is read: 19 MB of `&` as an URL-encoded form took a process 9 s."""
    if (given := _content_type(scope)) != _FORM:
        raise UnsupportedMedia(
            f"A file is sent as {_FORM.decode()}; this is {given[:60].decode('latin-1') or 'nothing that has a type'!r}."
        )


def _content_type(scope: Scope) -> bytes:
    given: bytes = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return given.partition(b";")[0].strip().lower()


def _announced_bytes(scope: Scope, service: Service) -> int:
    """How many bytes of body to expect: the declared length, or the path's limit for a chunked body. 0 for a body that is
    declared too large, because the middleware refuses it unread."""
    headers = dict(scope["headers"])
    length, limit = headers.get(b"content-length", b""), limit_bytes(scope["path"], service.settings.max_document_bytes)
    if length.isdigit():
        return int(length) if int(length) <= limit else 0
    return limit if b"transfer-encoding" in headers else 0


def _validated(model: type[BaseModel], raw: bytes) -> BaseModel | None:
    try:
        return model.model_validate(json.loads(raw))  # model_validate_json is stricter than the framework
    except (ValueError, RecursionError, ValidationError):
        return None


def _again(raw: bytes, receive: Receive) -> Receive:
    """A `receive` for the framework that first replays the body, which was read here, and
    then passes on the client's messages."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return replay
