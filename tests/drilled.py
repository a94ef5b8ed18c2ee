"""A simulated fleet with everything a drill is walked with, over real HTTP, on a clock that runs as fast as answers come."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from backends.kubernetes.actions import KubernetesWriter
from backends.kubernetes.connection import Api
from backends.kubernetes.drill_ground import KubernetesDrillGround, WalkedBy
from backends.kubernetes.kubeconfig import Access, User
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.reader import KubernetesReader
from backends.simulated.fault_client import SimulatedFaults
from backends.simulated.objects import NAMESPACES, NODES, PDBS, PODS
from backends.simulated.serve import Simulation, serve
from fleet.dispatch import Dispatcher
from fleet.drill import Drill, category_of
from fleet.drill_standing import Phase, Walker
from fleet.drill_walk import DrillWalk
from fleet.gate import GateChecker
from fleet.policy import Policy
from fleet.runner import OperationRun
from tests.clocks import ManualClock
from tests.fakes import MemoryJournal

SOURCE = "sim"
STEP = timedelta(milliseconds=250)
ME = "oncall@desk"


@dataclass
class Ground:
    """A served fleet on which one drill after the other can be walked."""

    simulation: Simulation
    clock: ManualClock
    api: Api
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    process: int = 1
    living: set[int] = field(default_factory=set)
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def walk(self, drill: Drill, *, host: str = "desk") -> DrillWalk:
        """A walk by a program of its own: what an earlier one left is not known to it."""
        number = next(self.ids)
        policy = Policy(categories={drill.category: category_of(drill, telemetry=False)})
        reader = KubernetesReader(self.api, NodeKeys(policy))
        ground = KubernetesDrillGround(
            self.api,
            self.clock,
            drill,
            WalkedBy(ME, host, number, self.living.__contains__),
            SimulatedFaults(self.simulation.kubernetes_url),
            id=f"t{number:03}",
            outside="kubectl --context sim",
        )
        walk: DrillWalk | None = None

        def changed(run: OperationRun) -> None:
            if walk is not None:
                walk.began(run, "key pressed")

        dispatcher = Dispatcher(
            readers={SOURCE: reader},
            writers={SOURCE: KubernetesWriter(self.api, reader, self.clock)},
            checker=GateChecker(policy, self.clock, None),
            journal=self.journal,
            clock=self.clock,
            policy=policy,
            owner=ME,
            changed=changed,
        )
        operations = (f"op-{number}-{each}" for each in itertools.count(1))
        walker = Walker(
            dispatcher, reader, ground, self.journal, self.clock, policy, ME, lambda: next(operations)
        )
        walk = DrillWalk(drill, walker)
        return walk

    def traces(self) -> list[str]:
        """What of any drill is on the cluster."""
        store = self.simulation.store
        found = [
            f"{kind.plural}/{each['metadata']['name']}"
            for kind in (NAMESPACES, NODES, PDBS, PODS)
            for each in store.list(kind)
            if "drill" in each["metadata"]["name"] or "drill" in each["metadata"].get("namespace", "")
        ]
        faults = [f"fault on {each.node}" for each in self.simulation.world.faults if "drill" in each.node]
        return found + faults

    async def walked_to(self, walk: DrillWalk, number: int) -> asyncio.Task[None]:
        """The walk, on its way by itself, as soon as it waits for the checkpoint of that step (from 0)."""
        walking = asyncio.create_task(walk.alone())
        for _ in range(20_000):
            if walk.at.number == number and walk.at.phase is Phase.WAITS:
                return walking
            assert not walking.done(), (walk.at, walk.checkpoints)
            await asyncio.sleep(0.001)
        raise AssertionError(f"never came to step {number}: {walk.at}")

    async def looks_until_observed(self, walk: DrillWalk, checkpoints: int) -> None:
        """Look until so many checkpoints were written down."""
        for _ in range(500):
            await walk.look()
            if len(walk.checkpoints) >= checkpoints:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"never observed: {walk.at}")

    async def kill(self, walk: DrillWalk, walking: asyncio.Task[None]) -> None:
        """End the walk's program with nothing said, written or removed."""
        walking.cancel()
        tasks = list(walk.walker.dispatcher._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(walking, *tasks, return_exceptions=True)


@asynccontextmanager
async def ground(
    nodes: int = 3, before: Callable[[Simulation], None] | None = None, stride: timedelta = STEP
) -> AsyncIterator[Ground]:
    """A fleet whose time runs, `stride` at a time, for as long as the block lasts."""
    clock = ManualClock()
    async with serve(clock, nodes=nodes, seed=4) as simulation:
        if before is not None:
            before(simulation)
        access = Access("sim", simulation.kubernetes_url, user=User(token="anybody"))
        api = Api(access, source=SOURCE, clock=clock, environ={})
        running = asyncio.create_task(_run(clock, stride))
        try:
            yield Ground(simulation, clock, api)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await api.close()


async def _run(clock: ManualClock, stride: timedelta) -> None:
    while True:
        await asyncio.sleep(0.002)
        await clock.advance(stride)
