"""A simulated fleet on loopback: the Kubernetes API, the exporters' pages, and time that moves by the clock it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Protocol, runtime_checkable

from aiohttp import web

from backends.simulated.control_routes import ControlRoutes
from backends.simulated.exporter_pages import ExporterPages
from backends.simulated.fleet_plan import FleetPlan, plan_fleet
from backends.simulated.kubeconfig_file import check_kubeconfig, write_kubeconfig
from backends.simulated.kubernetes_api import KubernetesApi
from backends.simulated.objects import ObjectStore
from backends.simulated.world import World
from fleet.ports import Clock

_HOST = "127.0.0.1"
_SHORTEST_TICK = timedelta(seconds=0.1)
_CONTEXT = "simulated"


@runtime_checkable
class MovableClock(Protocol):
    """A clock that whoever holds it may move, as tests do."""

    async def advance(self, span: timedelta) -> None:
        """Let `span` pass at once."""
        ...


class Simulation:
    """A fleet that is being served. `kubernetes_url` and `metrics_url` are where; `world`, `api` and `store` are what."""

    def __init__(self, plan: FleetPlan, clock: Clock, speed: float = 1.0) -> None:
        self.world = World(plan, clock, speed)
        self.api = KubernetesApi(self.world.store, clock, random=Random(plan.seed))  # noqa: S311  names, not secrets
        self.kubeconfig: Path | None = None
        self.metrics_url = ""
        self._clock = clock
        self._pages: web.AppRunner | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()
        self.world.agenda.earlier = self._sooner.set

    @property
    def store(self) -> ObjectStore:
        return self.world.store

    @property
    def kubernetes_url(self) -> str:
        return self.api.url

    @property
    def targets_url(self) -> str:
        """Where Prometheus finds one target per node (`http_sd_configs`)."""
        return f"{self.metrics_url.removesuffix('/metrics')}/targets"

    async def start(self, port: int = 0, kubeconfig: Path | None = None) -> None:
        """Listen, on `port` and the one after it or on free ones, and write the kubeconfig.

        Raises NotOurs before anything is started where the file is another's, and OSError where a port is taken.
        """
        if kubeconfig is not None:
            check_kubeconfig(kubeconfig)
        for method, path, handler in ControlRoutes(self.world, self.advance).routes():
            self.api.register_route(method, path, handler)
        await self.api.start(port)
        pages = web.AppRunner(ExporterPages(self.world).application(), access_log=None, shutdown_timeout=1)
        self._pages = pages
        await pages.setup()
        await web.TCPSite(pages, _HOST, port + 1 if port else 0, reuse_address=True).start()
        self.metrics_url = f"http://{_HOST}:{pages.addresses[0][1]}/metrics"
        if kubeconfig is not None:
            write_kubeconfig(kubeconfig, self.api.kubeconfig(_CONTEXT))
            self.kubeconfig = kubeconfig
        self._ticking = asyncio.create_task(self._tick(), name="simulated time")

    async def advance(self, span: timedelta) -> int:
        """Let that much simulated time pass. Gives how many events there were.

        A clock that can be moved is moved along from event to event, so that every stamp is right; any other stands
        still, and the world jumps.
        """
        world, clock = self.world, self._clock
        if not isinstance(clock, MovableClock):
            return world.advance(span)
        end, events = world.now + span.total_seconds(), 0
        while (due := world.agenda.next_due) is not None and due <= end:
            await clock.advance(self._on_the_clock(due))
            events += world.step(due)
        await clock.advance(self._on_the_clock(end))
        return events + world.step(end)

    async def close(self) -> None:
        """Stop time, end every watch and stop listening. Twice is once. Raises what stopped the time, if anything did."""
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
        await self.api.stop()
        if self._pages is not None:
            await self._pages.cleanup()
            self._pages = None
        if ticking is not None:
            with suppress(asyncio.CancelledError):
                await ticking

    def _on_the_clock(self, due: float) -> timedelta:
        """How far the clock is from that simulated second."""
        pace = self.world.pace
        return timedelta(seconds=max(0.0, pace.clock_seconds(due - pace.elapsed())))

    async def _tick(self) -> None:
        """Do what is due, then wait until the next thing is, or something sooner turns up."""
        while True:
            self.world.catch_up()
            self._sooner.clear()
            due = self.world.agenda.next_due
            if due is None:
                await self._sooner.wait()
                continue
            await self._either(max(self._on_the_clock(due), _SHORTEST_TICK))

    async def _either(self, span: timedelta) -> None:
        sooner = asyncio.create_task(self._sooner.wait())
        later = asyncio.ensure_future(self._clock.sleep(span))
        try:
            await asyncio.wait((sooner, later), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sooner.cancel()
            later.cancel()
            await asyncio.gather(sooner, later, return_exceptions=True)


@asynccontextmanager
async def serve(
    clock: Clock,
    *,
    nodes: int = 60,
    seed: int = 0,
    speed: float = 1.0,
    port: int = 0,
    kubeconfig: Path | None = None,
    plan: FleetPlan | None = None,
) -> AsyncIterator[Simulation]:
    """A simulated fleet for as long as the block lasts; `plan` stands in for `nodes` and `seed`.

    Raises ValueError for a size or speed out of range, NotOurs for a kubeconfig that is another's, OSError for a taken port.
    """
    simulation = Simulation(plan or plan_fleet(nodes, seed), clock, speed)
    try:
        await simulation.start(port, kubeconfig)
        yield simulation
    finally:
        await simulation.close()
