"""The simulated data centre: one object that owns its time, its objects and everybody who acts on them.

Synchronous. It moves only when told to (`step`), from one due event to the next, so that an idle fleet of any size costs nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from backends.simulated.agenda import Agenda
from backends.simulated.budgets import Budgets
from backends.simulated.controllers import Controllers
from backends.simulated.faults import Fault, FaultKind
from backends.simulated.fleet_plan import FleetPlan
from backends.simulated.founding import found
from backends.simulated.founding_nodes import fault_of
from backends.simulated.kubelet import Agent
from backends.simulated.kubelets import Kubelets
from backends.simulated.machines import Machine, MachineHall
from backends.simulated.node_lifecycle import NodeLifecycle
from backends.simulated.objects import NODES, PDBS, PODS, Event, Json, ObjectStore
from backends.simulated.pace import Pace
from backends.simulated.pod_shapes import controller_of, is_live
from backends.simulated.scheduler import Scheduler
from backends.simulated.site import BackdatedClock, Site, Uids
from fleet.ports import Clock

_LEASE_SECONDS = 10.0
_LEASES_UP_TO = 100  # nodes; a larger fleet's leases stand still, since nobody watches them


class NoSuchMachine(LookupError):
    """No machine has that name."""


class World:
    """A running fleet. `store` holds its objects; `step` moves its time; `inject` and `lift` break and mend it."""

    def __init__(self, plan: FleetPlan, clock: Clock, speed: float = 1.0, history: int = 20_000) -> None:
        self.pace = Pace(clock, speed)
        self.agenda = Agenda(self.pace)
        stamps = BackdatedClock(clock)
        self.store = ObjectStore(stamps, Uids(plan.seed), history)
        self.hall = MachineHall(plan)
        self._site = Site(self.store, stamps, self.agenda, plan, self.hall)
        self.kubelets = Kubelets(self._site)
        self._lifecycle = NodeLifecycle(self._site, self.kubelets)
        self._scheduler = Scheduler(self._site)
        self._budgets = Budgets(self._site)
        self._controllers = Controllers(self._site)
        self._faults: list[Fault] = []
        self._changed_budgets: dict[Fault, list[tuple[str, str, Json]]] = {}
        self.store.subscribe(self._tell)
        self._found()

    @property
    def plan(self) -> FleetPlan:
        return self._site.plan

    @property
    def now(self) -> float:
        """Simulated seconds since the start."""
        return self.agenda.now

    def step(self, until: float) -> int:
        """Do everything due up to `until` simulated seconds. Gives how many events there were."""
        return self.agenda.run(until)

    def catch_up(self) -> int:
        """Do everything due by now. Gives how many events there were."""
        return self.agenda.run(self.pace.elapsed())

    def advance(self, span: timedelta) -> int:
        """Jump that much simulated time ahead, doing everything due on the way."""
        self.catch_up()
        self.pace.jump(span.total_seconds())
        return self.catch_up()

    @property
    def scheduler(self) -> Scheduler:
        """Who places pods; it can be stopped."""
        return self._scheduler

    def exporting(self) -> Iterator[Machine]:
        """The machines whose exporter answers, in the order of their names in the plan."""
        return (machine for machine in self.hall if self.kubelets.exports(machine.name))

    def exports(self, node: str) -> bool:
        """Whether the exporter of a node answers."""
        return self.kubelets.exports(node)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong at present: what was injected, and what the story began with, less what a boot has cleared."""
        return tuple(
            fault
            for fault in self._faults
            if fault.kind is FaultKind.BUDGET_BLOCKS or fault in self._machine(fault.node).faults
        )

    def inject(self, fault: Fault) -> None:
        """Break a machine. The same fault twice is one.

        Raises NoSuchMachine, and ValueError for a GPU that the machine does not have.
        """
        machine = self._machine(fault.node)
        if fault.gpu is not None and not 0 <= fault.gpu < machine.category.gpus:
            raise ValueError(f"{fault.node} has GPUs 0 to {machine.category.gpus - 1}, not {fault.gpu}")
        self._faults = [each for each in self.faults if each != fault] + [fault]
        if fault.kind is FaultKind.BUDGET_BLOCKS:
            self._block_budgets(fault)
            return
        machine.record(fault)
        if fault.kind is FaultKind.UNREACHABLE:
            self._lifecycle.fall_silent(fault.node)
        for agent in Agent:
            if agent.fault is fault.kind:
                self.kubelets.break_agent(fault.node, agent)
        if fault.takes_gpu:
            self.kubelets.refresh(fault.node)

    def lift(self, fault: Fault) -> None:
        """Mend what a fault broke. An XID stays on the exporter's page until its exporter restarts."""
        if fault not in self._faults:
            return
        self._faults.remove(fault)
        if fault.kind is FaultKind.BUDGET_BLOCKS:
            self._unblock_budgets(fault)
            return
        machine = self._machine(fault.node)
        if fault in machine.faults:
            machine.faults.remove(fault)
        if fault.kind in (FaultKind.UNREACHABLE, FaultKind.BOOT_HANGS):
            self.kubelets.resume(fault.node)
        for agent in Agent:
            if agent.fault is fault.kind:
                self.kubelets.mend_agent(fault.node, agent)
        if fault.takes_gpu:
            self.kubelets.refresh(fault.node)

    def _machine(self, name: str) -> Machine:
        machine = self.hall.get(name)
        if machine is None:
            raise NoSuchMachine(name)
        return machine

    def _found(self) -> None:
        with _no_collection():
            found(self._site, self.kubelets)
        self._budgets.found_all()
        for fault in filter(None, map(fault_of, self.plan.nodes)):
            self.inject(fault)
            if fault.kind is FaultKind.UNREACHABLE:
                self._lifecycle.found_silent(fault.node)
        self._site.live = True
        if len(self.plan.nodes) <= _LEASES_UP_TO:
            self.agenda.after(_LEASE_SECONDS, self._renew)

    def _renew(self) -> None:
        self.kubelets.renew_leases()
        self.agenda.after(max(_LEASE_SECONDS, self.agenda.until - self.agenda.now), self._renew)

    def _tell(self, event: Event) -> None:
        if event.resource is NODES:
            self.kubelets.on_node(event)
            self._lifecycle.on_node(event)
            self._scheduler.on_node(event)
        elif event.resource is PODS:
            self._scheduler.on_pod(event)
            self._budgets.on_pod(event)
            self.kubelets.on_pod(event)
        elif event.resource is PDBS:
            self._budgets.on_budget(event)
            return
        self._controllers.on_event(event)

    def _block_budgets(self, fault: Fault) -> None:
        """Let no pod of the node go: turn the budgets over them to zero, or make one where there is none."""
        changed = self._changed_budgets.setdefault(fault, [])
        for pod in self.store.pods_on(fault.node):
            owner = controller_of(pod)
            if owner is None or owner["kind"] == "DaemonSet" or not is_live(pod):
                continue
            namespace, labels = pod["metadata"]["namespace"], pod["metadata"].get("labels") or {}
            covering = self._budgets.covering(pod)
            if covering:
                for _, name in covering:
                    self._tighten(namespace, name, changed)
            else:
                name = f"sim-{owner['name']}"
                selector = {"matchLabels": labels}
                spec = {"maxUnavailable": 0, "selector": selector}
                self.store.create(
                    PDBS, {"metadata": {"name": name, "namespace": namespace}, "spec": spec, "status": {}}
                )
                changed.append((namespace, name, {}))

    def _tighten(self, namespace: str, name: str, changed: list[tuple[str, str, Json]]) -> None:
        budget = self.store.get(PDBS, name, namespace)
        if budget is None or budget["spec"].get("maxUnavailable") == 0:
            return
        changed.append((namespace, name, budget["spec"]))
        spec = {"maxUnavailable": 0, "selector": budget["spec"]["selector"]}
        self.store.update(PDBS, name, partial(_put_spec, spec), namespace)

    def _unblock_budgets(self, fault: Fault) -> None:
        for namespace, name, spec in self._changed_budgets.pop(fault, []):
            if self.store.get(PDBS, name, namespace) is None:
                continue
            if spec:
                self.store.update(PDBS, name, partial(_put_spec, spec), namespace)
            else:
                self.store.delete(PDBS, name, namespace)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of new objects, none of them garbage: looking through them again and again takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _put_spec(spec: Json, budget: Json) -> None:
    budget["spec"] = spec
