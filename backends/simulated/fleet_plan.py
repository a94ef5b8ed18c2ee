"""Which machines the simulated fleet has, and which of them tell the story of the first screen.

A plan is a value: the same size and seed give the same plan. `workload_plan` says what runs on it; `world` brings it to life.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from backends.simulated.chance import identity
from backends.simulated.hardware import CATEGORIES, UNPLANNED, CategoryPlan

_NODES_A_RACK = 4
_NODES_A_COPY = 300  # a larger fleet has the same troubles once for each so many nodes
MOST_NODES = 20_000


class Story(Enum):
    """What is the matter with a node on the first screen."""

    QUARANTINED = "XID 79 took a GPU, the gate failed"
    HELD = "cordoned by a person"
    FOREIGN = "cordoned by another controller"
    UNREACHABLE = "its kubelet is silent"
    HOT = "a GPU runs too hot"
    ROW_REMAP = "a row of memory could not be remapped"
    EXPORTER_GONE = "its exporter does not run"
    PROVISIONING = "new, behind the gate"
    DRAINED = "drained and waiting for its image"
    BUDGET = "a disruption budget keeps its pods"


_STORIES: dict[str, tuple[tuple[float, Story], ...]] = {
    "h100": (
        (0.10, Story.QUARANTINED),
        (0.25, Story.HELD),
        (0.37, Story.HOT),
        (0.63, Story.DRAINED),
        (0.50, Story.EXPORTER_GONE),
    ),
    "a100": ((0.15, Story.UNREACHABLE), (0.70, Story.ROW_REMAP), (0.45, Story.FOREIGN)),
    "l40s": ((0.70, Story.BUDGET), (0.35, Story.PROVISIONING)),
}
_STILL_ON_FIRST_IMAGE = 0.4  # of a category whose rollout is half done


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One machine: where it stands, what it runs, and its part in the story, if any."""

    name: str
    category: CategoryPlan
    image: str
    zone: str
    rack: str
    clique: str
    story: Story | None = None

    @property
    def takes_work(self) -> bool:
        """Whether the plan puts workloads on it."""
        return self.story not in (Story.QUARANTINED, Story.PROVISIONING, Story.DRAINED)


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """The machines of a fleet. `pods` is how many pods to fill up to with small CPU work, None for no filling."""

    nodes: tuple[NodePlan, ...]
    seed: int
    pods: int | None = None

    def category(self, name: str) -> CategoryPlan:
        """The category of that name, or what an unknown one is taken for."""
        return next((category for category in CATEGORIES if category.name == name), UNPLANNED)


def plan_fleet(nodes: int = 60, seed: int = 0, pods: int | None = None) -> FleetPlan:
    """A fleet of `nodes` machines in the default proportions.

    Raises ValueError unless 1 <= nodes <= 20,000.
    """
    if not 1 <= nodes <= MOST_NODES:
        raise ValueError(f"a simulated fleet has 1 to {MOST_NODES} nodes, not {nodes}")
    return FleetPlan(
        tuple(
            plan
            for category, count in zip(CATEGORIES, _counts(nodes), strict=True)
            for plan in _machines(category, count, nodes, seed)
        ),
        seed,
        pods,
    )


def _counts(nodes: int) -> Sequence[int]:
    counts = [int(nodes * category.share) for category in CATEGORIES]
    counts[0] += nodes - sum(counts)
    return counts


def _machines(category: CategoryPlan, count: int, nodes: int, seed: int) -> Iterator[NodePlan]:
    stories = _stories(category.name, count, max(1, nodes // _NODES_A_COPY))
    width = max(3, len(str(count)))
    oldest = category.images[0].version
    for index in range(count):
        rack = f"{category.name}-r{index // _NODES_A_RACK + 1:02d}"
        behind = index >= count * (1 - _STILL_ON_FIRST_IMAGE)
        fabric = identity(seed, "fabric", category.name)
        yield NodePlan(
            name=f"gpu-{category.name}-{index + 1:0{width}d}",
            category=category,
            image=oldest if behind else category.desired,
            zone="hall-a" if index < (count + 1) // 2 else "hall-b",
            rack=rack,
            clique=f"{fabric}.{index // _NODES_A_RACK + 1}" if category.model.has_nvlink else "",
            story=stories.get(index),
        )


def _stories(category: str, count: int, copies: int) -> dict[int, Story]:
    """Stories by index. At most half of the nodes have one, so that a small fleet is not all trouble."""
    wanted = _STORIES[category]
    told: dict[int, Story] = {}
    for copy in range(copies):
        start, end = count * copy // copies, count * (copy + 1) // copies
        for position, story in wanted[: (end - start) // 2]:
            index = start + int(position * (end - start))
            while index in told:
                index = start + (index - start + 1) % (end - start)
            told[index] = story
    return told
