"""Whether a checkpoint is there: judged from one look at the cluster, with the evidence or with what is missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fleet.drill import Expectation, PodState, Shows
from fleet.drill_ground import PodSight
from fleet.node import Admission, Node
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from fleet.selection_fields import FIELDS, ListField
from fleet.selection_match import Term
from fleet.text import clean
from fleet.workload import Keeper, NodeWork

_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Sight:
    """One look: the node read fresh (None: not there), the pods, and the uid of the pod that ran at an earlier checkpoint.

    `waits` is what our operation on the node waits for now, as its screen says it; None where none of ours runs. `since` is
    when the step began, or the one whose doing it watches: a verdict from before is none of it.
    """

    node: str
    facts: NodeFacts | None
    row: FleetRow | None
    pods: tuple[PodSight, ...] = ()
    ran: str = ""
    waits: tuple[str, ...] | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One expectation against one look: `says` is the evidence where it is met, else what is there instead."""

    expectation: Expectation
    met: bool
    says: str


def sight_of(
    node: str,
    facts: NodeFacts | None,
    pods: Sequence[PodSight],
    policy: Policy,
    ran: str = "",
    waits: tuple[str, ...] | None = None,
    since: datetime | None = None,
) -> Sight:
    """A look, with the node as the selection language reads it. Telemetry is unknown to it."""
    if facts is None:
        return Sight(node, None, None, tuple(pods), ran, waits, since)
    theirs = [item for item in facts.placements if item.keeper not in (Keeper.DAEMON, Keeper.MIRROR)]
    live = [item for item in theirs if not item.finished]
    work = NodeWork(
        sum(item.gpus for item in live),
        pods=len(live),
        workloads=tuple(dict.fromkeys(item.workload for item in live)),
    )
    return Sight(node, facts, row_of(facts.node, work, None, policy), tuple(pods), ran, waits, since)


def judge(expectation: Expectation, sight: Sight) -> Seen:
    """Whether one expectation is met, and by what."""
    match expectation.shows:
        case Shows.NODE:
            met, says = _node(expectation, sight)
        case Shows.GONE:
            met = sight.facts is None
            says = (
                f"the cluster has no node {sight.node}" if met else f"the node is still there: {_told(sight)}"
            )
        case Shows.POD:
            met, says = _pod(expectation.pod or PodState.RUNNING, sight)
        case Shows.BUDGET:
            met, says = _budget(sight)
        case Shows.FINDING:
            met, says = _finding(expectation.check, sight)
    return Seen(expectation, met, clean(says, _LONGEST))


def _node(expectation: Expectation, sight: Sight) -> tuple[bool, str]:
    if sight.row is None or expectation.selection is None:
        return False, f"there is no node {sight.node}"
    terms = expectation.selection.terms
    if expectation.selection.matches(sight.row):
        shown = dict.fromkeys(_shown(term, sight.row) for term in terms)
        return True, ", ".join(text for text in shown if text)
    missing = [term for term in terms if not _is_met(term, sight.row)]
    return False, ", ".join(f"{_shown(term, sight.row)} (waits for {term})" for term in missing)


def _is_met(term: Term, row: FleetRow) -> bool:
    from fleet.selection import Selection

    return Selection((term,)).matches(row)


def _shown(term: Term, row: FleetRow) -> str:
    """What the node has of a term's field: `stage gated`."""
    field = FIELDS.get(term.field)
    if field is None:
        return ""
    value = field.read(row)
    if isinstance(field, ListField):
        value = value if isinstance(value, str | int | float | None) else ", ".join(dict.fromkeys(value))
        if term.field in ("image", "desired_image"):
            value = str(value).split(", ", maxsplit=1)[0]
    shown = "unknown" if value is None else f"{value:g}" if isinstance(value, float | int) else str(value)
    return f"{term.field} {shown or 'none'}"


def _told(sight: Sight) -> str:
    node: Node | None = sight.facts.node if sight.facts else None
    return f"{node.stage.value}, {node.admission.value}" if node else "gone"


def _pod(wanted: PodState, sight: Sight) -> tuple[bool, str]:
    live = [pod for pod in sight.pods if not pod.going]
    running = [pod for pod in live if pod.phase == "Running" and pod.node == sight.node]
    match wanted:
        case PodState.RUNNING:
            return _first(running, "runs on", live)
        case PodState.BACK:
            if not sight.ran:
                return False, "no pod was seen running before"
            others = [pod for pod in running if pod.uid != sight.ran]
            return _first(others, "is another pod, and runs on", live)
        case PodState.EVICTED:
            there = [pod for pod in sight.pods if pod.uid == sight.ran]
            if not sight.ran:
                return False, "no pod was seen running before"
            if there:
                return False, f"pod {there[0].name} is {'stopping' if there[0].going else 'still there'}"
            return True, f"the pod that ran there (uid {sight.ran[:8]}) is gone"
        case PodState.PENDING:
            return _pending(live)


def _pending(live: Sequence[PodSight]) -> tuple[bool, str]:
    refused = [pod for pod in live if pod.phase == "Pending" and pod.scheduled is False and not pod.node]
    if refused:
        return True, f"pod {refused[0].name} is Pending. The scheduler: {refused[0].reason}"
    if not live:
        return False, "the workload has no pod yet: is a controller manager at work?"
    if live[0].phase == "Pending" and live[0].scheduled is None:
        return False, f"pod {live[0].name} is Pending and no scheduler has said a word of it: is one at work?"
    return False, _state(live[0])


def _first(found: Sequence[PodSight], says: str, live: Sequence[PodSight]) -> tuple[bool, str]:
    if found:
        return True, f"pod {found[0].name} {says} {found[0].node}"
    if not live:
        return False, "the workload has no pod"
    pod = live[0]
    if pod.phase == "Pending" and pod.scheduled is None and not pod.node:
        return False, f"pod {pod.name} is Pending and no scheduler has said a word of it: is one at work?"
    return False, _state(pod)


def _state(pod: PodSight) -> str:
    where = f" on {pod.node}" if pod.node else ""
    return f"pod {pod.name} is {pod.phase}{where}" + (f": {pod.reason}" if pod.reason else "")


def _budget(sight: Sight) -> tuple[bool, str]:
    if sight.facts is None:
        return False, f"there is no node {sight.node}"
    if sight.facts.node.admission is Admission.OPEN:
        return False, "the node is open: nothing drains it"
    if sight.waits is None:
        return False, "the node is closed, but no operation of ours drains it"
    for item in sight.facts.placements:
        for budget in item.budgets:
            if budget.allowed <= 0 and not item.finished and item.terminating_since is None:
                waits = [text for text in sight.waits if "budget" in text]
                if not waits:
                    return (
                        False,
                        f"budget {budget.namespace}/{budget.name} holds, but the drain has not asked it yet",
                    )
                owner = f" of {budget.owner}" if budget.owner and budget.owner != budget.namespace else ""
                return True, (
                    f"budget {budget.namespace}/{budget.name}{owner} holds {item.label}: "
                    f"it needs {budget.needed} healthy and has {budget.healthy}, so none may go"
                    + "".join(f"; the operation says: {text}" for text in waits[:1])
                )
    return False, "no budget holds a pod there"


def _finding(check: str, sight: Sight) -> tuple[bool, str]:
    if sight.facts is None:
        return False, f"there is no node {sight.node}"
    record = sight.facts.node.gate
    if record is None:
        return False, "the gate has recorded no verdict yet"
    if sight.since is not None and (record.at is None or record.at < sight.since.replace(microsecond=0)):
        return False, f"the gate's verdict, {record.verdict.value}, is from before this step"
    for finding in record.findings:
        if finding.check == check and not finding.verdict.admits:
            wants = f", wants {finding.threshold}" if finding.threshold else ""
            return (
                True,
                f"gate {record.verdict.value}: {check} {finding.verdict.value} ({finding.value}{wants})",
            )
    return False, f"the gate says {record.verdict.value}, with no failing finding {check}"
