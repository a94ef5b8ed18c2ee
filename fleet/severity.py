"""What is wrong with a node, ranked, so that a row's health cell, the node pane and "worst first" all say the same.

Pure. Texts hold outside words (reasons, names) as they came; whoever paints them makes them safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol

from fleet.category import WARM_CELSIUS
from fleet.flag import Flag
from fleet.health import Verdict
from fleet.idle import IDLE_AFTER
from fleet.machine import Pair, disagree, kind_of, truths
from fleet.node import Admission, Node, Readiness, Stage
from fleet.policy import Policy
from fleet.telemetry import Alert, NodeTelemetry


class Severity(IntEnum):
    """How badly a node wants attention. Higher is worse."""

    OK = 0
    UNKNOWN = 1  # something that should be known is not
    NOTICE = 2  # drift, an old XID, a label that disagrees
    CLOSED = 3  # no work lands, on purpose
    SUSPECT = 4  # works, but something says it will not for long
    STUCK = 5  # under way for longer than its deadline
    FAULT = 6  # broken, unreachable or quarantined


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing wrong with a node. `about` is a short fixed word (`xid`, `gate`, `drift`), `text` is for people."""

    severity: Severity
    about: str
    text: str


class _Row(Protocol):
    @property
    def node(self) -> Node: ...
    @property
    def telemetry(self) -> NodeTelemetry | None: ...
    @property
    def alerts(self) -> tuple[Alert, ...]: ...
    @property
    def flags(self) -> tuple[Flag, ...]: ...
    @property
    def pair(self) -> Pair | None: ...


class _JudgedRow(_Row, Protocol):
    @property
    def severity(self) -> Severity: ...


FLAG = "flag"
"""What a concern about a node that begins to fail in service is about."""

_FLAGS_NAMED = 2
_AWAY = frozenset(
    stage.value for stage in (Stage.PROVISIONING, Stage.REIMAGING, Stage.RETIRING, Stage.RETIRED)
)
_READY, _OPEN, _GATED = Readiness.READY, Admission.OPEN, Admission.GATED
_IN_SERVICE, _QUARANTINED, _DRAINING = Stage.IN_SERVICE, Stage.QUARANTINED, Stage.DRAINING


def concerns(row: _Row, now: datetime | None, policy: Policy) -> tuple[Concern, ...]:
    """Everything wrong with a node, worst first; empty is a healthy node.

    With `now` None, what depends on the time (a drain past its deadline, telemetry grown old) is left out: those
    are the concerns that change only when the node does.
    """
    return _concerns(row.node, row.telemetry, now, policy, row.alerts, row.pair, row.flags)


def standing(
    node: Node,
    telemetry: NodeTelemetry | None,
    policy: Policy,
    alerts: tuple[Alert, ...] = (),
    pair: Pair | None = None,
    flags: tuple[Flag, ...] = (),
) -> Severity:
    """How bad the worst concern of a node is, whatever the time is."""
    worst = worst_of(node, telemetry, policy, alerts, pair, flags)
    return worst.severity if worst is not None else Severity.OK


def worst_of(
    node: Node,
    telemetry: NodeTelemetry | None,
    policy: Policy,
    alerts: tuple[Alert, ...] = (),
    pair: Pair | None = None,
    flags: tuple[Flag, ...] = (),
) -> Concern | None:
    """The worst concern of a node, whatever the time is; None where nothing is wrong."""
    found = _concerns(node, telemetry, None, policy, alerts, pair, flags)
    return found[0] if found else None


def severity_at(row: _JudgedRow, now: datetime, policy: Policy) -> Severity:
    """The worst concern of a node at `now`: what its row has at any time, and what the time adds."""
    added = [concern.severity for concern in _of_time(row.node, row.telemetry, now, policy)]
    return max(row.severity, *added) if added else row.severity


def expected_gpus(node: Node, policy: Policy) -> int | None:
    """How many GPUs a node should have: its category's word, else what it says of itself; None where nobody says."""
    configured = policy.categories.get(node.category, policy.any_other).expected_gpus
    return node.gpus_capacity if configured is None else configured


def _concerns(
    node: Node,
    telemetry: NodeTelemetry | None,
    now: datetime | None,
    policy: Policy,
    alerts: tuple[Alert, ...],
    pair: Pair | None,
    flags: tuple[Flag, ...],
) -> tuple[Concern, ...]:
    found = [
        *_of_flags(flags),
        *_of_acceptances(node, now),
        *(_of_pair(node, pair) if pair is not None else ()),
        *_of_state(node),
        *_of_evidence(node, telemetry, policy),
        *_of_gpus(node, telemetry, policy),
        *_of_image(node),
        *map(_of_alert, alerts),
    ]
    if now is not None:
        found += _of_time(node, telemetry, now, policy)
    if len(found) > 1:
        found.sort(key=lambda concern: -concern.severity)
    return tuple(found)


def _of_state(node: Node) -> list[Concern]:
    found: list[Concern] = []
    if node.stage is not _IN_SERVICE:
        severity = Severity.FAULT if node.stage is _QUARANTINED else Severity.CLOSED
        found.append(Concern(severity, "stage", _with_reason(node.stage.value, node)))
    elif node.admission is not _OPEN:
        found.append(Concern(Severity.CLOSED, "admission", _with_reason(node.admission.value, node)))
    if node.asleep and node.readiness is Readiness.UNKNOWN:
        found.append(Concern(Severity.NOTICE, "asleep", "asleep: powered down until work wants it"))
    elif node.readiness is not _READY:
        away = node.stage.value in _AWAY
        text = "not ready" if node.readiness is Readiness.NOT_READY else "not heard of"
        found.append(Concern(Severity.CLOSED if away else Severity.FAULT, "ready", text))
    if node.deleting:
        found.append(Concern(Severity.SUSPECT, "deleting", "being deleted"))
    if node.upgrade:
        found.append(Concern(Severity.NOTICE, "upgrade", node.upgrade))
    if node.label_stage and node.label_stage != node.stage.value:
        found.append(Concern(Severity.NOTICE, "label", f"labelled {node.label_stage}, is {node.stage.value}"))
    return found


def _of_pair(node: Node, pair: Pair) -> Iterator[Concern]:
    """What the machine's other side adds: two truths, an agent that is not heard of, a bad condition there."""
    other = pair.twin
    if other is None:
        named = ", ".join(str(key) for key in pair.rivals[:3])
        yield Concern(Severity.SUSPECT, "pair", f"several nodes claim one machine: {named}")
        return
    who = kind_of(other.key, pair.slurm)
    if disagree(node, other):
        yield Concern(Severity.SUSPECT, "pair", truths(node, other, pair.slurm))
    elif other.stage is _QUARANTINED and node.stage is not _QUARANTINED:
        yield Concern(Severity.FAULT, "pair", f"{who}: {_with_reason(other.stage.value, other)}")
    for concern in _of_state(other):
        if concern.about in ("ready", "deleting", "upgrade"):
            yield Concern(concern.severity, concern.about, f"{who}: {concern.text}")
    for condition in other.bad_conditions:
        if condition.type not in ("Ready", "State"):
            reason = f": {condition.reason}" if condition.reason else ""
            yield Concern(Severity.SUSPECT, "condition", f"{who}: {condition.type}{reason}")


def _of_flags(flags: tuple[Flag, ...]) -> Iterator[Concern]:
    """A node in service that would fail its gate now: nobody closes it but a person."""
    if flags:
        since = min(flag.since for flag in flags)
        named = "; ".join(f"{flag.check}: {flag.value}" for flag in flags[:_FLAGS_NAMED])
        more = f"; and {len(flags) - _FLAGS_NAMED} more" if len(flags) > _FLAGS_NAMED else ""
        text = f"fails in service since {since:%m-%d %H:%M} UTC: {named}{more}"
        yield Concern(Severity.SUSPECT, FLAG, text)


def _of_acceptances(node: Node, now: datetime | None) -> Iterator[Concern]:
    """Checks that people let stay unknown. That one has ended is of the time."""
    for word in node.accepted:
        over = now is not None and word.until <= now
        until = f"{word.until:%m-%d %H:%M} UTC"
        by = word.by or "somebody unnamed"
        why = f": {word.reason}" if word.reason else ""
        said = f"ended {until}" if over else f"until {until}"
        yield Concern(
            Severity.NOTICE, "accepted", f"{word.check} accepted while unknown, {said}, by {by}{why}"
        )


def _of_alert(alert: Alert) -> Concern:
    """An alert is the site's judgement, not ours: it is shown, and what it is about has a concern of its own where we see it."""
    severity = f" ({alert.severity})" if alert.severity else ""
    since = f" since {alert.since:%m-%d %H:%M} UTC" if alert.since is not None else ""
    return Concern(Severity.NOTICE, "alert", f"alert {alert.name}{severity}{since}")


def _with_reason(word: str, node: Node) -> str:
    holder = node.holder
    if holder is None:
        return word
    return f"{word} by {holder.by}: {holder.reason}" if holder.reason else f"{word} by {holder.by}"


def _of_evidence(node: Node, telemetry: NodeTelemetry | None, policy: Policy) -> Iterator[Concern]:
    gate = node.gate
    if gate is not None and gate.verdict is not Verdict.PASS:
        failing = ", ".join(finding.check for finding in gate.findings if finding.verdict is gate.verdict)
        text = f"gate {gate.verdict.value}: {failing}" if failing else f"gate {gate.verdict.value}"
        yield Concern(Severity.FAULT if gate.verdict is Verdict.FAIL else Severity.SUSPECT, "gate", text)
    for condition in node.conditions:
        if condition.bad and condition.type != "Ready":
            reason = f": {condition.reason}" if condition.reason else ""
            yield Concern(Severity.SUSPECT, "condition", condition.type + reason)
    if telemetry is None:
        return
    if telemetry.row_remap_failure:
        yield Concern(Severity.FAULT, "row-remap", "row remapping failed")
    if telemetry.gpu_temp_max is not None:
        yield from _of_heat(node, telemetry.gpu_temp_max, policy)
    if telemetry.idle_held:
        yield Concern(Severity.NOTICE, "idle", _idle(telemetry.idle_held, telemetry.idle_holder))
    if telemetry.xid:
        forbids = telemetry.xid in policy.forbidden_xids and not _passed_since(node, telemetry.xid_at)
        age = "" if telemetry.xid_at is not None else ", age unknown"
        yield Concern(Severity.FAULT if forbids else Severity.NOTICE, "xid", f"last XID {telemetry.xid}{age}")


def _idle(count: int, holder: str) -> str:
    minutes = int(IDLE_AFTER.total_seconds() // 60)
    return (
        f"{count} GPU{'' if count == 1 else 's'} idle for {minutes} min, held by {holder or 'nobody named'}"
    )


def _of_heat(node: Node, degrees: float, policy: Policy) -> Iterator[Concern]:
    """The hottest GPU against the limit that the node's gate has."""
    hot = policy.categories.get(node.category, policy.any_other).hot_celsius
    if degrees >= hot:
        yield Concern(Severity.SUSPECT, "temperature", f"GPU at {degrees:.0f} °C")
    elif degrees >= WARM_CELSIUS:
        yield Concern(Severity.NOTICE, "temperature", f"GPU at {degrees:.0f} °C")


def _passed_since(node: Node, fault: datetime | None) -> bool:
    gate = node.gate
    if gate is None or gate.at is None or fault is None:
        return False
    return gate.verdict.admits and gate.at > fault


def _of_gpus(node: Node, telemetry: NodeTelemetry | None, policy: Policy) -> Iterator[Concern]:
    expected = expected_gpus(node, policy)
    if not expected or node.asleep:
        return
    if node.mig_allocatable == 0:
        if node.gpus_allocatable is None:
            yield Concern(Severity.SUSPECT, "gpus", f"no GPUs advertised of {expected}")
        elif node.gpus_allocatable < expected:
            yield Concern(Severity.SUSPECT, "gpus", f"{node.gpus_allocatable} of {expected} GPUs advertised")
    if telemetry is None:
        yield Concern(Severity.UNKNOWN, "telemetry", "no telemetry")
    elif telemetry.gpus_seen is not None and telemetry.gpus_seen < expected and node.mig_allocatable == 0:
        yield Concern(
            Severity.SUSPECT, "telemetry", f"telemetry from {telemetry.gpus_seen} of {expected} GPUs"
        )


def _of_image(node: Node) -> Iterator[Concern]:
    image = node.image
    if image.desired is None:
        return
    if image.running is None:
        yield Concern(Severity.UNKNOWN, "drift", f"image unknown, wants {image.desired}")
    elif image.running != image.desired:
        yield Concern(Severity.NOTICE, "drift", f"runs {image.running}, wants {image.desired}")


def _of_time(node: Node, telemetry: NodeTelemetry | None, now: datetime, policy: Policy) -> Iterator[Concern]:
    if node.stage is _DRAINING:
        yield from _overdue(node, now, policy.category(node.category).drain_deadline)
    elif node.stage is Stage.REIMAGING or node.stage is Stage.PROVISIONING:
        yield from _overdue(node, now, policy.category(node.category).boot_deadline)
    if telemetry is not None and now - telemetry.at > policy.telemetry_fresh:
        yield Concern(Severity.UNKNOWN, "telemetry", f"telemetry is {_span(now - telemetry.at)} old")


def _overdue(node: Node, now: datetime, deadline: timedelta) -> Iterator[Concern]:
    starts = [hold.since for hold in node.holds if hold.since is not None]
    since = max(starts) if starts else node.created if node.stage is Stage.PROVISIONING else None
    if since is not None and now - since > deadline:
        text = f"{node.stage.value} for {_span(now - since)}, deadline {_span(deadline)}"
        yield Concern(Severity.STUCK, "stuck", text)


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
