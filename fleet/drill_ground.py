"""What a drill asks of the cluster it is walked on, as a port: ground of its own, and a look at its own pod.

The node itself is made and taken through its life by the dispatcher, as every node is. The ground makes and removes what lies
round it, and removes what a drill that was killed has left. Nothing that is not the drill's own is ever touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fleet.drill import Arrangement
from fleet.node import NodeKey


@dataclass(frozen=True, slots=True)
class PodSight:
    """The drill's pod as the cluster shows it.

    `scheduled` is None while no scheduler has said anything of it; `reason` is the scheduler's own words.
    """

    name: str
    uid: str
    phase: str
    node: str = ""
    scheduled: bool | None = None
    reason: str = ""
    going: bool = False


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a drill left that did not clean up. `live` says by whom it is still walked, empty where by nobody."""

    namespace: str
    node: str
    drill: str = ""
    by: str = ""
    started: datetime | None = None
    live: str = ""


class DrillGround(Protocol):
    """The ground of one walk. Every method raises FleetError."""

    @property
    def namespace(self) -> str:
        """The walk's own namespace."""
        ...

    @property
    def node(self) -> NodeKey:
        """The walk's own node, whether it is there or not."""
        ...

    @property
    def outside(self) -> str:
        """How an operator asks the same cluster from outside: `kubectl --context lab`."""
        ...

    async def leftovers(self) -> Sequence[Leftover]:
        """What earlier drills left on this cluster, those still under way included."""
        ...

    async def remove(self, left: Leftover) -> Sequence[str]:
        """Remove what one of them left. Gives what could not be removed, in words; empty where all is gone."""
        ...

    async def prepare(self) -> None:
        """Make the namespace, from whose name the node's follows."""
        ...

    async def attend(self) -> None:
        """Show that this walk is alive, and keep the node as it was arranged. Called at every look."""
        ...

    async def arrange(self, arrangement: Arrangement) -> bool:
        """Bring one thing about. False where it can't be done yet. Raises Blocked where it can't be done on this cluster."""
        ...

    async def pods(self) -> Sequence[PodSight]:
        """The workload's pods, read now."""
        ...

    async def clean_up(self) -> Sequence[str]:
        """Remove everything the walk made. Gives what could not be removed, in words; empty where nothing is left."""
        ...
