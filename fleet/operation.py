"""An operation: a plan under way or ended. Every change of it is a record in the journal, absolute and in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from fleet.node import NodeKey
from fleet.plan import Plan


class StepState(Enum):
    """Where a step is. INTENDED is journalled before the call; UNKNOWN is an outcome that must be read back."""

    PENDING = "pending"
    INTENDED = "intended"
    DONE = "done"
    SKIPPED = "skipped"  # already so
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class OperationState(Enum):
    """Where an operation is. INTERRUPTED: its program ended before it did; it can be resumed."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a step waits for right now: `what` (a pod), `on` (a budget, or `to stop`), and whose that is (`owner: search`)."""

    what: str
    on: str
    owner: str = ""
    since: datetime | None = None

    @property
    def says(self) -> str:
        """What stands after "waits for": `budget web-pdb (owner: web): web/web-1`, or `web/web-1 to stop`."""
        owner = f" ({self.owner})" if self.owner else ""
        if self.on.startswith("to "):
            return f"{self.what} {self.on}{owner}"
        return f"{self.on}{owner}" + (f": {self.what}" if self.what else "")


@dataclass(frozen=True, slots=True)
class Progress:
    """A step's live state, as the operations list shows it. `done` of `total` where a step counts."""

    step_id: str
    node: NodeKey
    says: str = ""
    waiting: tuple[Waiting, ...] = ()
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended. `says` for people; `evidence` is what shows it (a version, a boot id, a verdict).

    `stays_closed`: a gate was passed, and somebody else's hold keeps the node closed.
    """

    step_id: str
    node: NodeKey
    state: StepState
    says: str = ""
    evidence: str = ""
    stays_closed: bool = False


class Effect(Enum):
    """Whether a step whose outcome was lost took effect."""

    TOOK = "took"
    NOT = "not"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as it stands: the plan, each step's state by id, and who runs it."""

    id: str
    plan: Plan
    state: OperationState
    started: datetime
    ended: datetime | None = None
    steps: tuple[tuple[str, StepState], ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    says: str = ""
    owner: str = ""

    def step_state(self, step_id: str) -> StepState:
        return dict(self.steps).get(step_id, StepState.PENDING)
