"""What the join rules make of a node right now: its machine's two sides, or why they can't be told.

A machine that may have another side is never worked on by one side alone: a feed that is not live, a source that is not part of
this fleet, or several nodes that claim to be it, each stop the verb, saying which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fleet.feeds import FeedHealth
from fleet.machine import JoinRule, Pair, Tie
from fleet.node import NodeKey
from fleet.ports import Clock
from fleet.store import FeedKey, FleetStore


def tie_of(store: FleetStore, clock: Clock, sources: Collection[str], key: NodeKey) -> Tie | None:
    """The tie of a node; None for one that no rule is about, or that has no other side."""
    rules = [rule for rule in store.policy.joins if key.source in (rule.kubernetes, rule.slurm)]
    row = store.record(key)
    if not rules:
        return None
    if row is not None and row.pair is not None:
        return _paired(store, clock, rules, key, row.pair)
    for rule in rules:
        other = rule.other(key.source)
        if other not in sources:
            says = f"it may be one machine with a node of {other}, which is not part of this fleet"
            return Tie(key, says=says, go_on=f"open both: {_flag(rule, other)}")
        if doubt := next(_doubts(store, clock, rule, key.source), None):
            says = f"whether it is one machine with a node of {other} can't be told: {doubt}"
            return Tie(key, says=says, go_on=f"wait until {other} answers")
    return None


def _paired(store: FleetStore, clock: Clock, rules: list[JoinRule], key: NodeKey, pair: Pair) -> Tie:
    if pair.twin is None:
        named = ", ".join(str(rival) for rival in pair.rivals[:3])
        says = f"several nodes claim to be one machine: {key}, {named}"
        return Tie(key, says=says, go_on="mend what names them, or the rule in [[join]]")
    twin = pair.twin.key
    rule = next(each for each in rules if each.other(key.source) == twin.source)
    sides = (key, twin) if key.source == rule.slurm else (twin, key)
    shown = key if pair.shown else twin
    doubt = next(_doubts(store, clock, rule, key.source), "")
    says = f"it is one machine with {twin}, and {doubt}" if doubt else ""
    return Tie(shown, sides, says, f"wait until {twin.source} answers" if doubt else "")


def _doubts(store: FleetStore, clock: Clock, rule: JoinRule, source: str) -> Iterator[str]:
    """Why the other side of a node of `source` can't be believed now."""
    now, states = clock.now(), {FeedKey(each.source, each.name): each for each in store.feed_states()}
    feeds = [FeedKey(rule.other(source), "nodes")]
    if rule.pod_label:
        feeds.append(FeedKey(rule.kubernetes, "pods"))
    for feed in feeds:
        state = states.get(feed)
        health = state.believed(now) if state is not None else FeedHealth.STARTING
        if health is FeedHealth.STARTING:
            yield f"{feed.source}/{feed.name} has not answered"
        elif health is not FeedHealth.LIVE:
            why = f": {state.why}" if state is not None and state.why else ""
            yield f"{feed.source}/{feed.name} is {health.value}{why}"


def _flag(rule: JoinRule, other: str) -> str:
    return "--slurm on a machine of that cluster" if other == rule.slurm else f"--context {other}"
