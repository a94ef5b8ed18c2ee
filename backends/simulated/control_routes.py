"""Requests that break and mend the simulated fleet and move its time. A real cluster has nothing like them.

POST /sim/faults {"fault", "node", "gpu"?, "code"?, "survives_boot"?}; GET /sim/faults; DELETE /sim/faults with the same words
as a query lifts every fault that matches; POST /sim/time {"advance": seconds}; POST /sim/speed {"speed": number}; POST
/sim/scheduler {"runs": true or false}. Bad input is answered 400 with {"error": what was expected}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from backends.simulated.faults import Fault, FaultKind, fault
from backends.simulated.world import NoSuchMachine, World

_MOST_SECONDS = 30 * 86_400
_WORDS = ("fault", "node", "gpu", "code", "survives_boot")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadRequest(Exception):
    """The request can't be carried out; the text says what was expected."""


class ControlRoutes:
    """The control requests of one world. `advance` moves time as the simulation's owner does it."""

    def __init__(self, world: World, advance: Callable[[timedelta], Awaitable[int]]) -> None:
        self._world = world
        self._advance = advance

    def routes(self) -> list[tuple[str, str, Answer]]:
        """Method, path and handler of each."""
        rows = (
            ("GET", "/sim/faults", self._list),
            ("POST", "/sim/faults", self._inject),
            ("DELETE", "/sim/faults", self._lift),
            ("GET", "/sim/time", self._time),
            ("POST", "/sim/time", self._move),
            ("POST", "/sim/speed", self._run_at),
            ("POST", "/sim/scheduler", self._schedule),
        )
        return [(method, path, _guarded(answer)) for method, path, answer in rows]

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"faults": [_shown(each) for each in self._world.faults]})

    async def _inject(self, request: web.Request) -> web.Response:
        asked = _fault(await _body(request))
        self._world.catch_up()
        try:
            self._world.inject(asked)
        except NoSuchMachine as error:
            raise BadRequest(f"no machine is named {asked.node!r}") from error
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return web.json_response(_shown(asked), status=201)

    async def _lift(self, request: web.Request) -> web.Response:
        unknown = set(request.query) - set(_WORDS)
        if unknown:
            raise BadRequest(f"unknown word {sorted(unknown)[0]!r}; a fault is chosen by {', '.join(_WORDS)}")
        if request.query.get("fault"):
            _kind(request.query["fault"])
        self._world.catch_up()
        chosen = [each for each in self._world.faults if _matches(each, request.query)]
        for each in chosen:
            self._world.lift(each)
        return web.json_response({"lifted": [_shown(each) for each in chosen]})

    async def _time(self, request: web.Request) -> web.Response:
        return web.json_response({"elapsed": self._world.now, "speed": self._world.pace.speed})

    async def _move(self, request: web.Request) -> web.Response:
        seconds = _number(await _body(request), "advance")
        if not 0 <= seconds <= _MOST_SECONDS:
            raise BadRequest(f"advance must be 0 to {_MOST_SECONDS} seconds, not {seconds:g}")
        events = await self._advance(timedelta(seconds=seconds))
        return web.json_response({"elapsed": self._world.now, "events": events})

    async def _schedule(self, request: web.Request) -> web.Response:
        body = await _body(request)
        runs = body.get("runs")
        if not isinstance(runs, bool) or set(body) != {"runs"}:
            raise BadRequest("runs must be true or false, and nothing else is expected")
        self._world.catch_up()
        self._world.scheduler.stop(stopped=not runs)
        return web.json_response({"runs": runs})

    async def _run_at(self, request: web.Request) -> web.Response:
        self._world.catch_up()
        try:
            self._world.pace.run_at(_number(await _body(request), "speed"))
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return web.json_response({"speed": self._world.pace.speed})


def _guarded(answer: Callable[[web.Request], Awaitable[web.Response]]) -> Answer:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except BadRequest as error:
            return web.json_response({"error": str(error)}, status=400)

    return guarded


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body must be JSON") from error
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRequest(f"{name} must be a number")
    if set(body) - {name}:
        raise BadRequest(f"nothing but {name} is expected")
    return float(value)


def _kind(name: object) -> FaultKind:
    try:
        return FaultKind(name)
    except ValueError as error:
        known = ", ".join(kind.value for kind in FaultKind)
        raise BadRequest(f"fault must be one of {known}") from error


def _fault(body: Mapping[str, Any]) -> Fault:
    unknown = set(body) - set(_WORDS)
    if unknown:
        raise BadRequest(f"unknown key {sorted(unknown)[0]!r}; a fault has {', '.join(_WORDS)}")
    kind, node = _kind(body.get("fault")), body.get("node")
    if not isinstance(node, str) or not node:
        raise BadRequest("node must be the name of a node")
    survives = body.get("survives_boot")
    if survives is not None and not isinstance(survives, bool):
        raise BadRequest("survives_boot must be true or false")
    try:
        return fault(kind, node, gpu=_index(body, "gpu"), code=_index(body, "code"), survives_boot=survives)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _index(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{name} must be a whole number")
    return value


def _matches(fault: Fault, query: Mapping[str, str]) -> bool:
    shown = _shown(fault)
    return all(str(shown.get(name)).lower() == value.lower() for name, value in query.items())


def _shown(fault: Fault) -> dict[str, Any]:
    return {
        "fault": fault.kind.value,
        "node": fault.node,
        "gpu": fault.gpu,
        "code": fault.code,
        "survives_boot": fault.survives_boot,
    }
