"""A fleet in memory behind a whole deck, with a few things wrong: what journeys walk on and pictures are made of.

It is a `tests.fakes.Lab` that also feeds the store: what the dispatcher changes is seen again as an observation.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from fleet.category import Category, CheckPolicy
from fleet.dispatch import Dispatcher
from fleet.feeds import FeedHealth, FeedState
from fleet.groups import GroupKey
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Condition, Image, Node, NodeKey, Readiness, Software, Stage, Topology
from fleet.observation import FeedChanged, Listed, NodeGone, NodeSeen, Observation, TelemetrySeen, WorkSeen
from fleet.plan import Step
from fleet.policy import Policy
from fleet.ports import CheckRunner
from fleet.store import FeedKey, FleetStore
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.workload import Budget, Keeper, NodeWork, Placement, WorkloadId
from tests.clocks import ManualClock
from tests.fakes import SOURCE, Lab, MemoryJournal
from tui.deck import Deck
from tui.ground_facts import elsewhere
from tui.settings import Settings

ME = "oncall@desk"
FORBIDDEN = Finding(
    "xid", Verdict.FAIL, "79", "no forbidden XID", "DCGM_FI_DEV_XID_ERRORS", clears="a reset or a reboot"
)


def policy(*, read_only: bool = False, checks: Mapping[str, CheckPolicy] | None = None) -> Policy:
    categories = {
        "h100-train": Category(
            "h100-train", desired_image="ubuntu22-v2", expected_gpus=8, checks=checks or {}
        ),
        "a100-batch": Category("a100-batch", desired_image="ubuntu22-v2", expected_gpus=8),
        "l40s-infer": Category("l40s-infer", desired_image="ubuntu22-v2", expected_gpus=4),
    }
    return Policy(categories=categories, read_only=read_only)


class LiveLab(Lab):
    """A lab whose changes are seen by the store, as a watch would show them."""

    def __post_init__(self) -> None:
        self.seen: list[Sequence[Observation]] = []
        self.deck: Deck | None = None

    def watch(self, deck: Deck) -> None:
        self.deck = deck

    def _apply(self, step: Step) -> None:
        super()._apply(step)
        self.show(step.node)

    def show(self, at: NodeKey) -> None:
        """Report how a node is now."""
        facts = self.facts.get(at)
        if self.deck is not None:
            self.deck.report([NodeGone(at) if facts is None else NodeSeen(facts.node)])
            self.deck.report([WorkSeen(at, _work(facts.placements if facts else ()))])


@dataclass
class Desk:
    """Faults that only mark the node, for the fault menu."""

    lab: LiveLab
    names: Sequence[str] = ("xid-79", "hot", "unreachable", "exporter-gone")
    injected: list[tuple[str, str]] = field(default_factory=list)

    async def inject(self, fault: str, node: NodeKey) -> str:
        self.injected.append((fault, node.name))
        self.lab.change(node, conditions=(Condition("GpuFault", "True", True, fault),))
        self.lab.show(node)
        return f"{node.name}: {fault}"

    async def mend(self, node: NodeKey) -> str:
        self.lab.change(node, conditions=())
        self.lab.show(node)
        return f"{node.name} is mended"


@dataclass
class Fleet:
    """A lab fleet with its deck, its clock and its journal."""

    lab: LiveLab
    clock: ManualClock
    journal: MemoryJournal
    deck: Deck
    desk: Desk
    telemetry: dict[NodeKey, NodeTelemetry | None]
    gpus: dict[NodeKey, Sequence[GpuTelemetry]]
    runner: CheckRunner | None = None

    async def open(self) -> Deck:
        return self.deck


def lab_fleet(
    *,
    read_only: bool = False,
    settings: Settings | None = None,
    empty: bool = False,
    checks: Mapping[str, CheckPolicy] | None = None,
    runner: CheckRunner | None = None,
) -> Fleet:
    """Twenty-eight nodes of three categories: most at work, a few with a story. The H100s have the `checks`, done by `runner`."""
    clock, journal, lab = ManualClock(), MemoryJournal(), LiveLab()
    telemetry: dict[NodeKey, NodeTelemetry | None] = {}
    if not empty:
        for node, placements, seen in _nodes(clock):
            lab.add(node, *placements)
            telemetry[node.key] = seen
    rules = policy(read_only=read_only, checks=checks)
    store = FleetStore(rules)
    ids = itertools.count(1)
    dispatcher = Dispatcher(
        readers={SOURCE: lab},
        writers={SOURCE: lab},
        checker=lab,
        journal=journal,
        clock=clock,
        policy=rules,
        owner=ME,
        check_runners={SOURCE: runner} if runner is not None else {},
        capacity=lambda: _capacity(store),
        elsewhere=partial(elsewhere, store),
        changed=lambda run: deck.run_changed(run),
    )

    async def follow() -> None:
        now = clock.now()
        if not empty:
            deck.report([NodeSeen(facts.node) for facts in lab.facts.values()])
            deck.report([WorkSeen(key, _work(facts.placements)) for key, facts in lab.facts.items()])
            deck.report([TelemetrySeen(key, seen) for key, seen in telemetry.items()])
            deck.report([Listed(SOURCE, frozenset(key.name for key in lab.facts))])
            deck.report(
                [
                    FeedChanged(FeedState(SOURCE, name, FeedHealth.LIVE, now, now))
                    for name in ("nodes", "pods", "gpu")
                ]
            )
        await asyncio.Event().wait()

    async def close() -> None:
        await dispatcher.leave()

    gpus: dict[NodeKey, Sequence[GpuTelemetry]] = {
        key: _gpus(seen) for key, seen in telemetry.items() if seen is not None
    }

    async def by_gpu(nodes: Collection[NodeKey]) -> Mapping[NodeKey, Sequence[GpuTelemetry]]:
        return {key: gpus[key] for key in nodes if key in gpus}

    desk = Desk(lab)
    deck = Deck(
        title="lab",
        sources=(SOURCE,),
        feeds=tuple(FeedKey(SOURCE, name) for name in ("nodes", "pods", "gpu")),
        settings=settings or Settings(),
        policy=rules,
        clock=clock,
        store=store,
        dispatcher=dispatcher,
        journal=journal,
        by=ME,
        new_id=lambda: f"op-{next(ids):04}",
        follow=follow,
        close=close,
        by_gpu=by_gpu,
        simulated=True,
        faults=desk,
    )
    lab.watch(deck)
    return Fleet(lab, clock, journal, deck, desk, telemetry, gpus, runner)


def _capacity(store: FleetStore) -> dict[str, tuple[int, int, int, int]]:
    found = {}
    for name in {row.node.category for row in store.rows()}:
        total = store.groups.totals(_group(name))
        found[name] = (total.gpus_usable, total.gpus_capacity, total.nodes, total.nodes - total.in_service)
    return found


def _group(name: str) -> GroupKey:
    return GroupKey(name)


def _work(placements: Sequence[Placement]) -> NodeWork:
    live = [item for item in placements if item.keeper in (Keeper.CONTROLLER, Keeper.NOBODY)]
    workloads = tuple(dict.fromkeys(item.workload for item in live))
    return NodeWork(
        sum(item.gpus for item in live),
        pods=len(placements),
        workloads=workloads,
        gpus_of=tuple(sum(item.gpus for item in live if item.workload == each) for each in workloads),
    )


def _nodes(clock: ManualClock) -> list[tuple[Node, tuple[Placement, ...], NodeTelemetry | None]]:
    found = []
    for category, count, gpus, product in (
        ("h100-train", 12, 8, "NVIDIA H100 80GB HBM3"),
        ("a100-batch", 8, 8, "NVIDIA A100-SXM4-80GB"),
        ("l40s-infer", 8, 4, "NVIDIA L40S"),
    ):
        found += [_node(clock, category, number, gpus, product) for number in range(1, count + 1)]
    return found


def _node(
    clock: ManualClock, category: str, number: int, gpus: int, product: str
) -> tuple[Node, tuple[Placement, ...], NodeTelemetry | None]:
    name = f"{category.split('-')[0]}-{number:03}"
    now = clock.now()
    node = Node(
        key=NodeKey(SOURCE, name),
        uid=f"uid-{name}",
        category=category,
        category_from="node.lab/category",
        image=Image(
            "ubuntu22-v1" if category == "h100-train" and number > 8 else "ubuntu22-v2",
            "label",
            "ubuntu22-v2",
        ),
        readiness=Readiness.READY,
        gate=GateRecord(Verdict.PASS, at=now - timedelta(days=3), by="oncall@desk"),
        gpus_capacity=gpus,
        gpus_allocatable=gpus,
        boot_id="boot-1",
        software=Software("570.86.15", "12.8", "6.8.0-51", "Ubuntu 22.04.5", "v1.33.2", product),
        topology=Topology("dc-1", f"rack-{number % 4 + 1}"),
        created=now - timedelta(days=40 + number),
        replaceable=True,
    )
    busy = number % 3 != 0
    job = WorkloadId(
        "research" if gpus == 8 else "serving",
        "Job",
        f"{'llm-pretrain' if number < 6 else 'finetune'}-{category[0]}",
    )
    placements: tuple[Placement, ...] = (
        (Placement(job.namespace, f"{job.name}-{number}", f"p-{name}", job, Keeper.CONTROLLER, gpus=gpus),)
        if busy
        else ()
    )
    placements += (
        Placement(
            "kube-system",
            f"node-agent-{number}",
            f"d-{name}",
            WorkloadId("kube-system", "DaemonSet", "node-agent"),
            Keeper.DAEMON,
        ),
    )
    seen = NodeTelemetry(
        at=now - timedelta(seconds=4),
        gpus_seen=gpus,
        gpu_util=(88.0 + number % 7) if busy else 0.0,
        gpu_util_min=80.0 if busy else 0.0,
        gpu_temp_max=(62.0 + number) if busy else 34.0,
        fb_used_ratio=0.81 if busy else 0.01,
        power_watts=gpus * (610.0 if busy else 75.0),
        xid=0,
    )
    return _story(node, placements, seen, clock)


def _story(
    node: Node, placements: tuple[Placement, ...], seen: NodeTelemetry, clock: ManualClock
) -> tuple[Node, tuple[Placement, ...], NodeTelemetry | None]:
    now, name = clock.now(), node.key.name
    if name == "h100-004":
        budget = Budget("research", "llm-pretrain", 0, healthy=5, needed=5, owner="research")
        return (
            node,
            tuple(replace(item, budgets=(budget,)) if item.gpus else item for item in placements),
            seen,
        )
    if name == "h100-007":
        hold = Hold(
            "gate", "xid FAIL (79, wants no forbidden XID)", verb="gate", since=now - timedelta(hours=2)
        )
        sick = replace(
            node,
            stage=Stage.QUARANTINED,
            admission=Admission.GATED,
            holds=(hold,),
            gate=GateRecord(Verdict.FAIL, (FORBIDDEN,), now - timedelta(hours=2), ME),
            gpus_allocatable=7,
        )
        return (
            sick,
            placements[-1:],
            replace(seen, xid=79, xid_at=now - timedelta(hours=2), gpus_seen=7, gpu_util=0.0),
        )
    if name == "h100-011":
        return node, placements, replace(seen, gpu_temp_max=88.0)
    if name == "a100-003":
        hold = Hold(
            "gpu-operator", "driver upgrade", HolderKind.CONTROLLER, since=now - timedelta(minutes=40)
        )
        return replace(node, admission=Admission.CORDONED, holds=(hold,)), placements, seen
    if name == "a100-005":
        return replace(node, readiness=Readiness.NOT_READY), placements, None
    if name == "a100-006":
        hold = Hold(
            ME, "fan swap, ticket 4711", verb="drain", operation="op-old", since=now - timedelta(hours=5)
        )
        return (
            replace(node, stage=Stage.DRAINED, admission=Admission.CORDONED, holds=(hold,)),
            placements[-1:],
            replace(seen, gpu_util=0.0),
        )
    if name == "l40s-002":
        return node, placements, None
    if name == "l40s-008":
        return replace(node, owner="Machine/l40s-008", replaceable=False), placements, seen
    return node, placements, seen


def _gpus(seen: NodeTelemetry) -> tuple[GpuTelemetry, ...]:
    count = seen.gpus_seen or 0
    return tuple(
        GpuTelemetry(
            gpu=str(index),
            uuid=f"GPU-{index:08x}",
            util=seen.gpu_util,
            tensor_active=0.41,
            temp=(seen.gpu_temp_max or 0) - index % 3,
            memory_temp=70.0,
            power_watts=(seen.power_watts or 0) / count if count else None,
            fb_used_mib=65_000.0,
            fb_total_mib=81_559.0,
            sm_clock=1980.0,
            memory_clock=2619.0,
            xid=seen.xid,
            pcie_replays=0.0,
            at=seen.at,
        )
        for index in range(count)
    )
