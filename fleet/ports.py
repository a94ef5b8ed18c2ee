"""What the domain needs from outside, as protocols: readers apart from writers, and time apart from both.

Nothing here does anything. `tui.wiring` gives each port an adapter; writers go to the dispatcher alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from fleet.category import Category
from fleet.diagnosis import Diagnosed, Ran
from fleet.health import Finding
from fleet.history import NodeHistory, Span
from fleet.journal import Record
from fleet.node import Node, NodeKey
from fleet.observation import Observation
from fleet.operation import Effect, Operation, Outcome, Progress
from fleet.plan import NodeFacts, Permission, SourceIdentity, Step, Verb
from fleet.telemetry import Alert, GpuTelemetry, NodeTelemetry, Replays
from fleet.timeline import Entry

Report = Callable[[Sequence[Observation]], None]
"""Where a feed hands its observations. It never blocks and never fails."""


@dataclass(frozen=True, slots=True)
class TelemetryRead:
    """One reading of a fleet's telemetry: by the series' own node names, and what the source warned of.

    `alerts` fire at nodes by the name that an alert gives its node, which need not be that of its series.
    """

    nodes: Mapping[str, NodeTelemetry]
    warnings: tuple[str, ...] = ()
    alerts: Mapping[str, tuple[Alert, ...]] = field(default_factory=dict)


class Clock(Protocol):
    """Time, injected, so that a test can own it."""

    def now(self) -> datetime:
        """The wall clock, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...

    async def sleep(self, span: timedelta) -> None:
        """Return once `span` has passed on this clock."""
        ...


class Feed(Protocol):
    """A stream of facts that never ends by itself: it backs off, comes back and says how it is (`FeedChanged`)."""

    async def follow(self, report: Report) -> None:
        """Report observations until cancelled. Failures are reported as the feed's state, not raised."""
        ...


class Reader(Protocol):
    """Authoritative, uncached reads of one source, for plans and for checks before a step."""

    @property
    def source(self) -> str: ...

    async def identity(self) -> SourceIdentity:
        """Which cluster this is. Raises FleetError."""
        ...

    async def read(self, nodes: Sequence[NodeKey], *, work: bool = True) -> Mapping[NodeKey, NodeFacts]:
        """Facts of the nodes that are there; an absent one is left out. Without `work` nobody asks for the work on them.

        Raises FleetError.
        """
        ...

    async def allowed(self, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
        """Whether we may. Raises FleetError."""
        ...


class Writer(Protocol):
    """Changes to one source. Only the dispatcher has one."""

    @property
    def source(self) -> str: ...

    async def prepare(self, step: Step) -> Step:
        """The step with `before` as the orchestrator shows the node now: journalled with the intent, ahead of `perform`.

        A resumed step is performed with the `before` of its journalled intent and is not prepared again. Raises FleetError;
        Conflict where the node is not the machine the step was planned for.
        """
        ...

    async def perform(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        """Do one step to its end; a `Check` comes as the `ApplyVerdict` it led to. "Already so" is an outcome (SKIPPED).

        Raises Conflict (changed since read), Missing, Denied, Rejected, Unreachable (nothing was sent), TimedOut (a deadline
        passed; the outcome says what is left), OutcomeUnknown (sent, answer lost). Cancelling it stops at a safe point.
        """
        ...

    async def effect_of(self, step: Step) -> Effect:
        """Whether a step whose outcome was lost took effect, told from the orchestrator and `step.before`."""
        ...


class Checker(Protocol):
    """Runs a category's gate checks against fresh facts. Unreadable is a finding of UNKNOWN, not an error."""

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]: ...


class CommandRunner(Protocol):
    """Runs one command on a closed node, as a job of its orchestrator that takes all its GPUs. A step's action is a `Diagnose`."""

    async def refusal(self) -> str:
        """Why nothing may be run there; empty where it may, or where that is told by trying. Raises FleetError."""
        ...

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Ran:
        """What became of it. A second call with the same step goes on with what the first one started.

        It never takes work away: GPUs that somebody holds are a reason not to run. Raises FleetError.
        """
        ...

    async def clean_up(self, step: Step) -> None:
        """Take away everything that the step started, also in another run of this program, and nothing of another's.

        Raises FleetError.
        """
        ...

    def leaves(self, step: Step) -> str:
        """What of the step's may be left there, and how a person removes it: `Job x/y: kubectl delete job -n x y`."""
        ...


class CheckRunner(Protocol):
    """Runs a category's active checks on closed nodes: what it starts there belongs to one step, and is cleaned up with it."""

    async def refusal(self) -> str:
        """Why nothing may be run there; empty where it may. Raises FleetError."""
        ...

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Diagnosed:
        """What the check came to. What could not be run or read is UNKNOWN. Raises FleetError, which is UNKNOWN too.

        A second call with the same step goes on with what the first one started. Cancelling it leaves that to `clean_up`.
        """
        ...

    async def clean_up(self, step: Step) -> None:
        """Take away everything that the step started, also in another run of this program, and nothing of another's.

        Nothing there is nothing to do. Raises FleetError.
        """
        ...

    def leaves(self, step: Step) -> str:
        """See `CommandRunner.leaves`."""
        ...


class TelemetrySource(Protocol):
    """GPU telemetry from Prometheus or from exporter pages."""

    @property
    def name(self) -> str: ...

    async def by_node(self) -> TelemetryRead:
        """Aggregates of every node that has series, keyed by whatever name the series carry. Raises FleetError."""
        ...

    async def by_gpu(self, names: Collection[str]) -> Mapping[str, Sequence[GpuTelemetry]]:
        """Raw rows of the nodes named (full or short names, as `by_node` gave them). Raises FleetError."""
        ...


@runtime_checkable
class RemembersGpus(Protocol):
    """A telemetry source that knows the past."""

    async def history(self, name: str, span: Span) -> NodeHistory:
        """The GPUs of the node that the series call so, up to now. Raises FleetError."""
        ...


@runtime_checkable
class DatesXids(Protocol):
    """A telemetry source that can find out since when its GPUs show their XIDs, apart from its readings."""

    async def date_xids(self) -> None:
        """Find out some that are not known yet; readings after that have them. What can't be found out stays unknown."""
        ...

    async def dated(self, name: str, rows: Sequence[GpuTelemetry]) -> Sequence[GpuTelemetry]:
        """The rows of the node that the series call so, each XID with since when, asked now; unknown where that can't be told."""
        ...


@runtime_checkable
class CountsReplays(Protocol):
    """A telemetry source that knows how the PCIe replay counters of GPUs went."""

    async def replays(self, name: str, over: timedelta) -> Replays:
        """The counters of the node that the series call so, from `over` ago up to now. Raises FleetError."""
        ...


class Journal(Protocol):
    """What was intended and what came of it, durable on return. Raises JournalFailed."""

    async def append(self, records: Sequence[Record]) -> None: ...

    async def own(self, operation: str, owner: str) -> None:
        """Claim the right to run an operation until `disown`, or until this program ends, however it ends.

        Raises Conflict naming the owner where a live program, this one too, has it.
        """
        ...

    async def disown(self, operation: str) -> None:
        """Give up what `own` claimed. Giving up what nobody has is nothing."""
        ...

    async def owner(self, operation: str) -> str | None:
        """The live program that runs an operation; None where none does."""
        ...

    async def cancels(self, operations: Collection[str]) -> Mapping[str, str]:
        """Which of these operations somebody asked to cancel since they were last begun or resumed, and who did."""
        ...

    async def operations(self, limit: int = 200) -> Sequence[Operation]:
        """Operations, newest first, as the records tell: RUNNING, with its owner, where a live program owns it."""
        ...

    async def unfinished(self, limit: int = 50) -> Sequence[Operation]:
        """The newest operations without an end, as `operations` tells them: RUNNING somewhere, or INTERRUPTED."""
        ...

    async def operation(self, operation: str) -> Operation | None:
        """One operation as the records tell; None where there is none of that id."""
        ...

    async def records(self, limit: int = 1000) -> Sequence[Record]:
        """The audit trail, newest first."""
        ...

    async def of_node(self, node: NodeKey, since: datetime | None = None) -> Sequence[Record]:
        """The records of one node since then, oldest first, with those that begin and end the operations that touched it.

        Without plans: the evidence of a beginning is its plan's hash.
        """
        ...

    async def judgements(self, node: str, limit: int = 20) -> Sequence[Record]:
        """Verdicts and people's words on nodes of this name, newest first: each intent with its step, and how it ended."""
        ...

    async def since(self, at: datetime) -> Sequence[Record]:
        """Every record of a node from `at` on, oldest first, without plans: what counting a month needs."""
        ...


class Chronicler(Protocol):
    """An outside source that can tell of one node's past: events, past XIDs."""

    @property
    def name(self) -> str: ...

    async def past(self, node: Node, since: datetime, until: datetime) -> Sequence[Entry]:
        """What happened to the node between the two. Raises FleetError."""
        ...
