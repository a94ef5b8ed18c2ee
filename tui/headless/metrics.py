"""What doctor says of the metrics: which nodes they join, how old they are, what is not exported, which checks miss it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from fleet.coverage import WANTS, Coverage, Want, cover, grouped, unread
from fleet.errors import FleetError
from fleet.joining import Join
from fleet.node import NodeKey
from fleet.telemetry import GpuTelemetry
from tui.deck import Deck
from tui.headless.examined import Examined
from tui.headless.words import counted

_NAMED = 3
_NAMED_IN_JSON = 100
_LOOKED_AT = 24  # nodes whose GPUs are read one by one, spread over the categories


async def of_metrics(deck: Deck) -> Sequence[Examined]:
    """Every answer there is."""
    if deck.joined is None:
        mend = "name --prometheus URL or --dcgm URL"
        return [Examined("metrics join", None, "no metrics are configured", mend)]
    join = await deck.metrics_joined()
    if join is None:
        return [Examined("metrics join", None, "no reading yet")]
    return [_joined(deck, join), *_ages(deck, join), *await _exported(deck, join)]


def _joined(deck: Deck, join: Join) -> Examined:
    """Labels that don't match leave series over; where none is left over, a node without series has a silent exporter."""
    without = sorted(key.name for key in join.unjoined_nodes if _may_have_gpus(deck, key))
    strangers, found = join.unjoined_names, len(join.names)
    facts = {
        "nodes_with_series": found,
        "nodes_without_series": len(without),
        "nodes_named": without[:_NAMED_IN_JSON],
        "series_without_node": len(strangers),
        "series_named": list(strangers[:_NAMED_IN_JSON]),
    }
    about, says = "metrics join", f"{counted(found, 'node')} with series"
    if strangers:
        left = (
            f"{counted(len(without), 'node')} without{_some(without)}; {len(strangers)} series have no node"
        )
        mend = "see docs/telemetry.md: the label that names the host must match the node's name"
        return Examined(about, False, f"{says}; {left}{_some(strangers)}", mend, facts)
    if not without:
        return Examined(about, True, says, "", facts)
    if not found:
        mend = "see docs/telemetry.md: which metrics are read"
        return Examined(about, False, "no series of any node", mend, facts)
    silent = f"exporter silent on {counted(len(without), 'node')}{_some(without)}"
    mend = "look whether the exporter runs there and its page can be read"
    return Examined(about, None, f"{says}; {silent}", mend, facts)


def _ages(deck: Deck, join: Join) -> Iterator[Examined]:
    """How old the samples are that are believed, and how many nodes' are too old to be."""
    now, fresh = deck.clock.now(), deck.policy.telemetry_fresh
    ages: list[float] = []
    late: list[str] = []
    for key in join.names:
        row = deck.store.rows_by_key.get(key)
        read = row.telemetry if row is not None else None
        if read is None or now - read.at > fresh:
            late.append(key.name)
        else:
            ages.append(max(0.0, (now - read.at).total_seconds()))
    if not ages and not late:
        return
    facts: dict[str, object] = {
        "seconds": None,
        "nodes_too_old": len(late),
        "nodes_named": late[:_NAMED_IN_JSON],
    }
    says = "no sample is new enough"
    if ages:
        youngest, middle, oldest = min(ages), median(ages), max(ages)
        facts["seconds"] = {"min": round(youngest, 1), "median": round(middle, 1), "max": round(oldest, 1)}
        says = f"from {youngest:.0f} s over {middle:.0f} s (median) to {oldest:.0f} s"
    if late:
        says += f"; older than {fresh.total_seconds():g} s on {counted(len(late), 'node')}{_some(late)}"
    mend = "see whether Prometheus scrapes them, and whether its clock is right"
    yield Examined("metrics age", not late and bool(ages), says, mend, facts)


async def _exported(deck: Deck, join: Join) -> Sequence[Examined]:
    """What the exporters of some nodes of every category leave out, and which checks are unknown for it."""
    looked_at = _spread(deck, join)
    if not looked_at:
        return ()
    try:
        rows = await deck.by_gpu([key for keys in looked_at.values() for key in keys])
    except FleetError as error:
        return [Examined("metrics exported", None, str(error))]
    return [columns_of(rows.values()), _checks(deck, looked_at, rows)]


def _spread(deck: Deck, join: Join) -> Mapping[str, Sequence[NodeKey]]:
    """Nodes to look at, by category: some of each, no more in all than `_LOOKED_AT` unless there are more categories."""
    by_category: dict[str, list[NodeKey]] = {}
    for key in sorted(join.names):
        row = deck.store.rows_by_key.get(key)
        if row is not None and row.telemetry is not None and row.twin is None:
            by_category.setdefault(row.node.category, []).append(key)
    each = max(1, _LOOKED_AT // max(1, len(by_category)))
    return {name: keys[:: max(1, len(keys) // each)][:each] for name, keys in by_category.items()}


def columns_of(rows: Iterable[Sequence[GpuTelemetry]]) -> Examined:
    """Which columns the nodes with these rows tell, those that none does first."""
    coverage = cover(rows)
    absent, partial = coverage.absent, coverage.partial
    facts = {
        "nodes_looked_at": coverage.nodes,
        "not_exported": [
            {"column": want.label, "metrics": list(want.metrics), "check": want.check or None}
            for want in absent
        ],
        "exported_by_some": [
            {"column": want.label, "metrics": list(want.metrics), "nodes": count} for want, count in partial
        ],
    }
    whole = len(WANTS) - len(absent) - len(partial)
    says = f"of {len(WANTS)} columns {whole} by every node of {coverage.nodes} looked at"
    says += f", {len(partial)} by some" if partial else ""
    says += f", {len(absent)} by none" if absent else ""
    some = [f"{want.label} ({_metrics(want)}) by {count} of {coverage.nodes}" for want, count in partial]
    listed = [*_missing(absent), *([("told by some nodes alone:", some)] if some else [])]
    return Examined("metrics exported", True, says, "", facts, listed)


def _missing(absent: Sequence[Want]) -> Iterator[tuple[str, Sequence[str]]]:
    """What nobody exports, by what it tells of: each column with the metric that gives it, and the check that would read it."""
    for group, wants in grouped(absent).items():
        yield (
            f"{group}, told by none:",
            [
                f"{want.label} ({_metrics(want)})" + (f", for check {want.check}" if want.check else "")
                for want in wants
            ],
        )


def _metrics(want: Want) -> str:
    return " or ".join(want.metrics)


def _checks(
    deck: Deck, looked_at: Mapping[str, Sequence[NodeKey]], rows: Mapping[NodeKey, Sequence[GpuTelemetry]]
) -> Examined:
    needed: dict[str, list[str]] = {}
    silent: dict[str, list[str]] = {}
    for name, keys in looked_at.items():
        coverage: Coverage = cover(rows[key] for key in keys if key in rows)
        if coverage.nodes:
            unknown, said = unread(coverage, deck.policy.category(name))
            for found, wants in ((needed, unknown), (silent, said)):
                for want in wants:
                    found.setdefault(want.check, []).append(name)
    facts = {"unknown": needed, "say_nothing": silent}
    aside = f"; where not exported, nothing is said by {', '.join(silent)}" if silent else ""
    if not needed:
        return Examined("metrics checks", True, f"every needed check can be read{aside}", "", facts)
    named = ", ".join(f"{check} of {', '.join(names)}" for check, names in needed.items())
    mend = (
        "have the exporter export what they read (docs/telemetry.md), or set needed = false for the category"
    )
    return Examined("metrics checks", False, f"needed, and UNKNOWN: {named}{aside}", mend, facts)


def _may_have_gpus(deck: Deck, key: NodeKey) -> bool:
    row = deck.store.rows_by_key.get(key)
    return row is None or row.node.gpus_capacity != 0


def _some(names: Iterable[str]) -> str:
    found = sorted(names)
    more = " ..." if len(found) > _NAMED else ""
    return f" ({', '.join(found[:_NAMED])}{more})" if found else ""
