"""Goes on checking nodes while they are in service, and flags one that begins to fail. It closes nothing: a person does.

Only nodes whose facts changed are looked at again. A check must fail for `Policy.flag_after` without a break before it is flagged,
and pass for as long before the flag goes, so that a value at its limit does not flicker. What is not known raises and takes
back nothing. It sees what the fleet's own feeds bring: a node's facts, and its GPUs summed up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter

from fleet.category import Category, CheckPolicy
from fleet.check_catalogue import CATALOGUE, default_policy
from fleet.checks import FROM_FACTS, Scene
from fleet.flag import Flag
from fleet.gate import ruled
from fleet.health import Verdict
from fleet.node import Admission, Node, NodeKey, Stage
from fleet.observation import FlagsSeen
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.ports import Clock, Report
from fleet.row import FleetRow
from fleet.signs import FROM_SUMS, sign, xid_aged_out
from fleet.store import FleetStore
from fleet.telemetry import NodeTelemetry
from fleet.telemetry_feed import Readings

EVERY = timedelta(seconds=2)
_BATCH = 100  # nodes looked at before the loop breathes
_OF_NODE = ("ready", "conditions", "gpus", "driver", "cuda", "health-check")
_judged = attrgetter(
    "gpus_seen",
    "xid",
    "xid_at",
    "row_remap_failure",
    "remap_pending",
    "remapped_rows",
    "ecc_dbe",
    "slowed",
    "recovery_action",
)

Signs = Mapping[str, str | None]
"""What fails, by check, with its value; None where it can't be told."""


@dataclass(slots=True)
class _Watched:
    """One node as it was last looked at: what it rested on, what failed, and since when each check is as it is."""

    node: Node
    facts: tuple[object, ...]
    signs: Signs
    since: dict[str, datetime] = field(default_factory=dict)  # of checks that are not as they are flagged
    values: dict[str, str] = field(default_factory=dict)
    told: tuple[Flag, ...] = ()


class Watch:
    """Looks at what changed in `store`, and reports FlagsSeen."""

    def __init__(self, store: FleetStore, policy: Policy, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._revision = -1
        self._last_known = store.last_known
        self._nodes: dict[NodeKey, _Watched] = {}
        self._turning: set[NodeKey] = set()
        self.looked_at = 0  # how many nodes the last round looked at, for whoever measures

    async def follow(self, report: Report) -> None:
        """One round after the other until cancelled."""
        while True:
            await self.one_round(report)
            await self._clock.sleep(EVERY)

    async def one_round(self, report: Report) -> None:
        """Look at every node that changed since the last round, and tell flags that are due."""
        changes = self._store.changes_since(self._revision)
        self._revision = changes.revision
        known, self._last_known = self._last_known, self._store.last_known
        all_of_them = changes.everything or known is not self._last_known
        keys: Collection[NodeKey] = list(self._store.rows_by_key) if all_of_them else changes.keys
        gone = (
            changes.removed if not changes.everything else self._nodes.keys() - self._store.rows_by_key.keys()
        )
        for key in list(gone):
            self._nodes.pop(key, None)
            self._turning.discard(key)
        self.looked_at = 0
        for number, key in enumerate([*keys, *(self._turning - set(keys))], start=1):
            row = self._store.record(key)
            if row is not None:
                self._look(row, report)
            if number % _BATCH == 0:
                await asyncio.sleep(0)

    def _look(self, row: FleetRow, report: Report) -> None:
        node, key = row.node, row.node.key
        serves = node.admission is Admission.OPEN and node.stage is Stage.IN_SERVICE
        if (
            not serves or key.source in self._last_known
        ):  # what an earlier run saw is no word on how it is now
            watched = self._nodes.pop(key, None)
            self._turning.discard(key)
            if watched is not None and watched.told:
                why = _why_unwatched(node)
                report([FlagsSeen(key, (), {flag.check: why for flag in watched.told})])
            return
        watched = self._nodes.get(key)
        facts = _facts_of(row, self._policy, self._clock.now())
        if watched is None or watched.node is not node or watched.facts != facts:
            self.looked_at += 1
            signs = signs_of(row, self._policy, self._clock.now())
            if watched is None:
                watched = self._nodes[key] = _Watched(node, facts, signs)
            else:
                watched.node, watched.facts, watched.signs = node, facts, signs
        self._turn(key, watched, report)

    def _turn(self, key: NodeKey, watched: _Watched, report: Report) -> None:
        """Raise and take back what has been as it is for long enough."""
        now, flagged = self._clock.now(), {flag.check: flag for flag in watched.told}
        for check in {*watched.signs, *flagged, *watched.since}:
            value = watched.signs.get(check, "")
            fails = check in flagged if value is None else bool(value)
            if value:
                watched.values[check] = value
            if fails == (check in flagged):
                watched.since.pop(check, None)
                continue
            since = watched.since.setdefault(check, now)
            if now - since >= self._policy.flag_after:
                del watched.since[check]
                if fails:
                    flagged[check] = Flag(check, watched.values[check], since)
                else:
                    del flagged[check]
        (self._turning.add if watched.since else self._turning.discard)(key)
        last = watched.values
        told = tuple(
            sorted(replace(flag, value=last.get(flag.check, flag.value)) for flag in flagged.values())
        )
        if told != watched.told:
            ended = {flag.check for flag in watched.told} - flagged.keys()
            watched.told = told
            report(
                [FlagsSeen(key, told, dict.fromkeys(ended - watched.signs.keys(), "not checked any more"))]
            )


def signs_of(row: FleetRow, policy: Policy, now: datetime) -> Signs:
    """What a node fails now of the checks that can be made from its row, under its category's rules."""
    category = policy.category(row.node.category)
    return dict([*_of_node(row, category, policy, now), *_of_sums(row.telemetry, category, policy, now)])


def _why_unwatched(node: Node) -> str:
    """Why a node that was watched no longer is, of those that still are."""
    if node.admission is not Admission.OPEN:
        return "the node was closed"
    if node.stage is not Stage.IN_SERVICE:
        return f"the node is {node.stage.value}"
    return "its source does not answer"


def _facts_of(row: FleetRow, policy: Policy, now: datetime) -> tuple[object, ...]:
    """What the signs of its telemetry rest on: heat only by which side of its limit it is on, for it changes all the time."""
    told = row.telemetry
    if told is None:
        return ()
    aged_out = bool(told.xid) and xid_aged_out(
        told, _xid_rule(policy.category(row.node.category)).window, now
    )
    return (*_judged(told), aged_out, told.temp_margin_min is not None and told.temp_margin_min <= 0)


def _xid_rule(category: Category) -> CheckPolicy:
    return category.checks.get("xid") or default_policy("xid")


def _of_node(
    row: FleetRow, category: Category, policy: Policy, now: datetime
) -> Iterator[tuple[str, str | None]]:
    scene = Scene(NodeFacts(row.node), category, policy, Readings(row.telemetry), now)
    for name in _OF_NODE:
        rule = category.checks.get(name) or default_policy(name)
        finding = FROM_FACTS[name](scene) if rule.enabled else None
        if finding is not None:
            verdict = ruled(finding, rule).verdict
            says = f"{finding.value}, wants {finding.threshold}"
            yield name, None if verdict is Verdict.UNKNOWN else says if verdict is Verdict.FAIL else ""


def _of_sums(
    telemetry: NodeTelemetry | None, category: Category, policy: Policy, now: datetime
) -> Iterator[tuple[str, str | None]]:
    for name in FROM_SUMS:
        rule = category.checks.get(name) or default_policy(name)
        severity = rule.severity or CATALOGUE[name].severity or Verdict.FAIL
        if rule.enabled and severity is Verdict.FAIL:
            old = telemetry is not None and name == "xid" and xid_aged_out(telemetry, rule.window, now)
            yield name, None if telemetry is None else sign(name, telemetry, rule, policy, aged_out=old)
