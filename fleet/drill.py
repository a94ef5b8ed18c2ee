"""A drill as a value: stages of steps that walk one node, the drill's own, through its life with the fleet's own commands.

It is written as a small file (`tui.drill_file` reads it strictly), so that another walk needs no code. Nothing here does
anything: `fleet.drill_walk` walks it, and what it asks of the world outside is `fleet.drill_ground`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from fleet.category import Category, CheckPolicy
from fleet.gpu_checks import FROM_TELEMETRY
from fleet.plan import Verb
from fleet.selection import Selection


class Arranged(Enum):
    """What a drill may do to its own node, workload and budget before a step, by the word a file uses.

    WORK makes the workload once the node is there, so that whatever the scheduler says of it was said with the node in sight.
    WANT takes an image (`want v2`), FAULT the name of a fault that only a simulated fleet can make (`fault xid`).
    """

    WORK = "work"
    FEWER_GPUS = "fewer-gpus"
    ALL_GPUS = "all-gpus"
    BUDGET = "budget"
    NO_BUDGET = "no-budget"
    WANT = "want"
    FAULT = "fault"
    MEND = "mend"


TAKES_A_WORD = frozenset({Arranged.WANT, Arranged.FAULT})


@dataclass(frozen=True, slots=True)
class Arrangement:
    """One thing to arrange, with its word where it takes one."""

    what: Arranged
    word: str = ""


class Shows(Enum):
    """What a checkpoint is observed by.

    NODE: the node is as a selection says. GONE: the cluster has no such node. POD: the drill's pod is in a state. BUDGET: a
    budget holds the pod on a node that is closed. FINDING: the node's gate record has a failing finding of that check.
    """

    NODE = "node"
    GONE = "gone"
    POD = "pod"
    BUDGET = "budget"
    FINDING = "finding"


class PodState(Enum):
    """States of the drill's pod. RUNNING is on the drill's node; PENDING comes with the scheduler's reason.

    EVICTED: the pod that ran before is gone. BACK: another pod than that one runs on the drill's node.
    """

    PENDING = "pending"
    RUNNING = "running"
    EVICTED = "evicted"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that must be observed. Which of the other fields counts follows from `shows`."""

    shows: Shows
    selection: Selection | None = None
    pod: PodState | None = None
    check: str = ""

    def __str__(self) -> str:
        match self.shows:
            case Shows.NODE:
                return f"node {self.selection}"
            case Shows.POD:
                return f"pod {self.pod.value if self.pod else ''}"
            case Shows.FINDING:
                return f"the gate's finding {self.check}"
            case Shows.BUDGET:
                return "a budget holds the pod"
            case Shows.GONE:
                return "the node is gone"


@dataclass(frozen=True, slots=True)
class DrillTexts:
    """What the coach says of a step. Texts may hold `{node}`, `{namespace}`, `{image}` and `{kubectl}`.

    `does` and `why` come before it is done, `cost` beside the key, `expect` while it is waited for; `mechanism` is the generic
    thing behind it and `idea` what that stands for; `outside` is a command that shows the same without Quarterdeck.
    """

    does: str
    why: str
    expect: str
    cost: str = ""
    mechanism: str = ""
    idea: str = ""
    outside: str = ""


@dataclass(frozen=True, slots=True)
class DrillStep:
    """One step: what is arranged, what the operator does (None: only watches), and what must then be observed `within`."""

    title: str
    texts: DrillTexts
    expects: tuple[Expectation, ...]
    within: timedelta
    verb: Verb | None = None
    image: str | None = None
    arrange: tuple[Arrangement, ...] = ()


@dataclass(frozen=True, slots=True)
class DrillStage:
    """Steps that belong together; the last one's checkpoint ends the stage."""

    title: str
    steps: tuple[DrillStep, ...]


@dataclass(frozen=True, slots=True)
class Drill:
    """A whole walk. The node is of `category`, should have `gpus` GPUs and begins at `image`; the pod asks for `pod_gpus`.

    `settle` is how long its gate waits for a node that does not pass yet.
    """

    name: str
    title: str
    says: str
    category: str
    gpus: int
    image: str
    settle: timedelta
    stages: tuple[DrillStage, ...]
    pod_gpus: int = 1

    def steps(self) -> Iterator[tuple[DrillStage, DrillStep]]:
        """Every step with its stage, in order."""
        for stage in self.stages:
            for step in stage.steps:
                yield stage, step

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """Every verb that the operator is asked for, once."""
        return tuple(dict.fromkeys(step.verb for _, step in self.steps() if step.verb is not None))


def category_of(drill: Drill, *, telemetry: bool) -> Category:
    """The category of the drill's node. Where nothing can measure that node, its gate asks the orchestrator's facts alone."""
    off = {} if telemetry else {name: CheckPolicy(enabled=False) for name in FROM_TELEMETRY}
    return Category(
        drill.category,
        expected_gpus=drill.gpus,
        settle_deadline=drill.settle,
        drain_deadline=timedelta(minutes=10),
        boot_deadline=timedelta(minutes=10),
        checks=off,
    )


@dataclass(frozen=True, slots=True)
class Filled:
    """The words that texts may hold, for one walk."""

    words: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, text: str) -> str:
        """`text` with every known `{word}` put in; anything else in braces stays as it is."""
        for word, value in self.words.items():
            text = text.replace(f"{{{word}}}", value)
        return text
