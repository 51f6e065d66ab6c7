"""A short way to the busiest routes, around the framework's middleware, dependency solving and second validation.

It takes only what is in order: the body is validated by the route's own model and the route's own function answers. Everything
else (another path, no JSON, a field that is wrong) goes the framework's way, which also makes the OpenAPI schema of these routes.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.dependencies import Service, caller
from app.security import demand

_JSON: Final = b"application/json"
_OPEN: Final = frozenset({"/v1/session"})  # where a key is presented in the body


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A POST route of readers: `answer` takes body, request, service and principal by name. Its `path` is its name in metrics."""

    path: str
    model: type[BaseModel]
    answer: Callable[..., Awaitable[Response]]


class Direct:
    """ASGI in front of the framework's application, whose state and error handlers it uses."""

    def __init__(self, app: FastAPI, shortcuts: tuple[Shortcut, ...]) -> None:
        self._app = app
        self._shortcuts: Mapping[str, Shortcut] = {shortcut.path: shortcut for shortcut in shortcuts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1/") or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        shortcut = self._shortcuts.get(scope["path"])
        scope["app"] = self._app
        request = Request(scope, receive)
        unexpected: Exception | None = None
        onward: Receive | None = None
        response: Response | None = None
        try:
            service: Service = self._app.state.service
            await service.gate.principal(request)  # nobody without a key makes us read a body
            if shortcut is None or not _is_json(scope):
                onward = receive
            elif (body := _validated(shortcut.model, raw := await request.body())) is None:
                onward = _again(raw, receive)
            else:
                scope["route"] = shortcut
                principal = demand(await caller(request, service), "reader")
                response = await shortcut.answer(body=body, request=request, service=service, principal=principal)
        except Exception as error:  # noqa: BLE001 - every kind has its handler, the last one for all the others
            kind = next(kind for kind in type(error).__mro__ if kind in self._app.exception_handlers)
            handler: Callable[[Request, Exception], Any] = self._app.exception_handlers[kind]
            response = await handler(request, error)
            unexpected = error if kind is Exception else None
        if response is None:
            await self._app(scope, onward or receive, send)
            return
        await response(scope, receive, send)
        if unexpected is not None:
            raise unexpected  # as the framework does, so that it is logged


def _is_json(scope: Scope) -> bool:
    return any(name == b"content-type" and value.partition(b";")[0].strip() == _JSON for name, value in scope["headers"])


def _validated(model: type[BaseModel], raw: bytes) -> BaseModel | None:
    try:
        return model.model_validate(json.loads(raw))  # not model_validate_json: it refuses what the framework's way takes
    except (ValueError, RecursionError, ValidationError):
        return None


def _again(raw: bytes, receive: Receive) -> Receive:
    """The body that was read, once more, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return replay
