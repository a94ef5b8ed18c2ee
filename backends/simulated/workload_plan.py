"""What runs on the planned fleet: training gangs, inference services, notebooks, and one budget that blocks.

Placements are planned, not scheduled, so that a large fleet is busy from its first moment without a scheduler's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backends.simulated.chance import fraction
from backends.simulated.fleet_plan import FleetPlan, NodePlan, Story

_BUSY = 0.85  # of the machines that take work; the rest is room for what gets evicted
_GANGS = (
    ("research", "pretrain-70b", 8),
    ("research", "rl-rollouts", 4),
    ("vision", "finetune-vit", 2),
    ("research", "pretrain-8b", 4),
    ("speech", "asr-train", 2),
    ("vision", "diffusion", 1),
)
_TUNES = (("research", "lora-sweep", 2), ("speech", "tts-train", 3), ("vision", "segment", 2))
_SERVICES = (
    ("serving", "chat", 6),
    ("serving", "code", 4),
    ("serving", "rerank", 3),
    ("search", "vectors", 4),
)


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """One workload: its owner's kind and name, what each pod asks for, and the node of each pod.

    `busy` is the mean utilisation of the GPUs it holds, 0 to 1. `healthy_needed` makes a PodDisruptionBudget, None for none.
    `kind` is the owner's (Job, Deployment, StatefulSet), empty for pods that nobody owns.
    """

    kind: str
    namespace: str
    name: str
    gpus: int
    nodes: tuple[str, ...]
    busy: float
    category: str
    cpu: str = "8"
    memory: str = "64Gi"
    healthy_needed: int | None = None
    scratch: bool = False


def plan_workloads(plan: FleetPlan) -> tuple[WorkloadPlan, ...]:
    """The workloads of a fleet, in a fixed order."""
    workloads = [
        *_gangs(plan, "h100", _GANGS),
        *_gangs(plan, "a100", _TUNES, share=0.5),
        *_services(plan, "a100", gpus=2, pods_a_node=3, skip=0.5),
        *_services(plan, "l40s", gpus=1, pods_a_node=3, skip=0.0),
        *_story(plan),
    ]
    return (*workloads, *_filling(plan, sum(len(workload.nodes) for workload in workloads)))


def _open_nodes(plan: FleetPlan, category: str) -> list[NodePlan]:
    return [
        node
        for node in plan.nodes
        if node.category.name == category and node.takes_work and node.story is not Story.BUDGET
    ]


def _busy_nodes(plan: FleetPlan, category: str) -> list[NodePlan]:
    """The nodes that get work: all that have a story, and enough of the others."""
    nodes = _open_nodes(plan, category)
    kept = int(len(nodes) * _BUSY + 0.5)
    told = [node for node in nodes if node.story]
    quiet = [node for node in nodes if not node.story]
    idle = {
        node.name
        for node in sorted(quiet, key=lambda node: fraction(plan.seed, "idle", node.name))[
            : len(nodes) - kept
        ]
    }
    return [node for node in nodes if node.name not in idle or node in told]


def _gangs(
    plan: FleetPlan, category: str, kinds: tuple[tuple[str, str, int], ...], share: float = 1.0
) -> Iterator[WorkloadPlan]:
    nodes = _busy_nodes(plan, category)
    nodes = nodes[: int(len(nodes) * share + 0.5)]
    taken = turn = 0
    while taken < len(nodes):
        namespace, name, size = kinds[turn % len(kinds)]
        members = nodes[taken : taken + size]
        round_ = turn // len(kinds)
        yield WorkloadPlan(
            "Job",
            namespace,
            name if round_ == 0 else f"{name}-{round_ + 1}",
            members[0].category.gpus,
            tuple(node.name for node in members),
            busy=0.82 + 0.15 * fraction(plan.seed, "busy", category, turn),
            category=category,
            cpu="96" if category == "h100" else "64",
            memory="1000Gi" if category == "h100" else "500Gi",
        )
        taken, turn = taken + len(members), turn + 1


def _services(
    plan: FleetPlan, category: str, gpus: int, pods_a_node: int, skip: float
) -> Iterator[WorkloadPlan]:
    nodes = _busy_nodes(plan, category)
    slots = [node.name for _ in range(pods_a_node) for node in nodes[int(len(nodes) * skip + 0.5) :]]
    taken = turn = 0
    while taken < len(slots):
        namespace, name, replicas = _SERVICES[turn % len(_SERVICES)]
        members = tuple(slots[taken : taken + replicas])
        round_ = turn // len(_SERVICES)
        yield WorkloadPlan(
            "Deployment",
            namespace,
            f"{name}-{category}" if round_ == 0 else f"{name}-{category}-{round_ + 1}",
            gpus,
            members,
            busy=0.25 + 0.45 * fraction(plan.seed, "busy", category, turn),
            category=category,
            healthy_needed=len(members) - 1 if len(members) > 1 else None,
        )
        taken, turn = taken + len(members), turn + 1


def _story(plan: FleetPlan) -> Iterator[WorkloadPlan]:
    """The budget that allows nothing, a notebook with scratch, and a bare pod on a held node."""
    guarded = [node for node in plan.nodes if node.story is Story.BUDGET]
    for number, node in enumerate(guarded, 1):
        name = "embeddings" if number == 1 else f"embeddings-{number}"
        yield WorkloadPlan(
            "Deployment",
            "search",
            name,
            2,
            (node.name, node.name),
            busy=0.55,
            category=node.category.name,
            healthy_needed=2,
        )
    held = next((node for node in plan.nodes if node.story is Story.HELD), None)
    if held is not None:
        yield WorkloadPlan(
            "", "default", "debug-shell", 0, (held.name,), 0.0, held.category.name, "1", "4Gi", scratch=True
        )


def _filling(plan: FleetPlan, planned: int) -> Iterator[WorkloadPlan]:
    """Small CPU services, round the nodes, until the fleet has `plan.pods` pods."""
    nodes = [node.name for node in plan.nodes if node.takes_work]
    missing = (plan.pods or 0) - planned - 3 * len(plan.nodes)
    replicas = 20
    for number in range(max(0, -(-missing // replicas)) if nodes else 0):
        first = number * replicas
        members = tuple(nodes[(first + step) % len(nodes)] for step in range(min(replicas, missing - first)))
        yield WorkloadPlan(
            "Deployment", "batch", f"tokenize-{number + 1}", 0, members, 0.0, "", cpu="100m", memory="128Mi"
        )
