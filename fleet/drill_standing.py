"""Where a walk of a drill stands, as a value to paint, and what it is walked with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from fleet.dispatch import Dispatcher
from fleet.drill_ground import DrillGround
from fleet.drill_sight import Seen
from fleet.policy import Policy
from fleet.ports import Clock, Journal, Reader


class Phase(Enum):
    """Where a step is. ASKS: for the operator's key. WAITS: for its checkpoint. HOLDS: a step is over, to be gone on from."""

    OPENS = "opens"
    ASKS = "asks"
    WAITS = "waits"
    HOLDS = "holds"
    STUCK = "stuck"
    LEAVES = "leaves"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a walk is, as a value to paint. `seen` is the last look at this step's checkpoint; `trouble` why a look failed."""

    number: int
    phase: Phase
    since: datetime
    seen: tuple[Seen, ...] = ()
    trouble: str = ""
    doing: str = ""


@dataclass(frozen=True, slots=True)
class Walker:
    """What a walk is done with, and who walks. `new_id` gives an operation's id."""

    dispatcher: Dispatcher
    reader: Reader
    ground: DrillGround
    journal: Journal
    clock: Clock
    policy: Policy
    by: str
    new_id: Callable[[], str]
