"""The exporters' web pages on loopback: every node at once, each node as its own exporter, and the list of targets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import islice

from aiohttp import web

from backends.simulated.exporter import CONTENT_TYPE, Fields, Row, page, render, rows
from backends.simulated.objects import NODES
from backends.simulated.world import World

_MACHINES_A_TURN = 100
_PIECES_A_WRITE = 4


class ExporterPages:
    """Serves `/metrics`, `/metrics/NODE` and `/targets` for a world; `?fields=` gives a longer list or a shorter one (`Fields`)."""

    def __init__(self, world: World) -> None:
        self._world = world

    def application(self) -> web.Application:
        """The pages as an aiohttp application."""
        app = web.Application()
        app.router.add_get("/metrics", self._all)
        app.router.add_get("/metrics/{node}", self._one)
        app.router.add_get("/targets", self._targets)
        return app

    async def _all(self, request: web.Request) -> web.StreamResponse:
        """Every exporter that answers, on one page; a node whose exporter is gone is not on it."""
        self._world.catch_up()
        at, known, fields = self._world.now, list[Row](), _fields(request)
        for turn, machine in enumerate(list(self._world.exporting())):
            known.extend(rows(machine, at, fields=fields))
            if turn % _MACHINES_A_TURN == 0:
                await asyncio.sleep(0)
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        with suppress(ConnectionError):  # its reader may go away in the middle
            await response.prepare(request)
            pieces = render(known, fields=fields)
            while waiting := "".join(islice(pieces, _PIECES_A_WRITE)):
                await response.write(waiting.encode())
                await asyncio.sleep(0)
            await response.write_eof()
        return response

    async def _one(self, request: web.Request) -> web.Response:
        """One node's page: 404 for a node that is not there, 503 where its exporter does not answer."""
        self._world.catch_up()
        name = request.match_info["node"]
        machine = self._world.hall.get(name)
        if machine is None or self._world.store.get(NODES, name) is None:
            return web.Response(status=404, text="no such node\n")
        if not self._world.exports(name):
            return web.Response(status=503, text="no exporter answers on this node\n")
        text = "".join(page([machine], self._world.now, fields=_fields(request)))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _targets(self, request: web.Request) -> web.Response:
        """What Prometheus' http_sd_configs reads: one target per node, present whether its exporter answers or not."""
        groups = []
        asked = {"__param_fields": _fields(request).value} if _fields(request).value else {}
        for node in self._world.store.list(NODES):
            name = node["metadata"]["name"]
            labels = {"__metrics_path__": f"/metrics/{name}", "node": name, "instance": name, **asked}
            groups.append({"targets": [request.host], "labels": labels})
        return web.json_response(groups)


def _fields(request: web.Request) -> Fields:
    asked = request.query.get("fields", "")
    return next((fields for fields in Fields if fields.value == asked), Fields.DEFAULT)
