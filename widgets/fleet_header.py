"""The two lines at the top: which cluster this is, how the fleet stands, and how fresh what is shown is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from textual.content import Content

from fleet.feeds import FeedHealth
from fleet.node import Stage
from fleet.summary import FeedBadge, FleetSummary
from widgets.glyphs import UNICODE, Glyphs
from widgets.lines import LineOf, Piece, joined, plain, spread, text_of, width_of_line
from widgets.sheet import Sheet
from widgets.tones import Tone
from widgets.wording import age, percent


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """What the header shows. `names` of the fleet; `note` like `simulated fleet`; `shown` nodes that pass the filter.

    `sources` is how many it has. `last_known`: sources that are shown as an earlier run saw them, and when it did.
    """

    names: tuple[str, ...]
    summary: FleetSummary
    now: datetime
    note: str = ""
    operations: int = 0
    read_only: bool = False
    shown: int | None = None
    glyphs: Glyphs = UNICODE
    last_known: Mapping[str, datetime] = field(default_factory=dict)
    sources: int = 1


class FleetHeader(Sheet):
    """Shows `HeaderFacts` on two lines at any width."""

    DEFAULT_CSS = """
    FleetHeader { height: 2; background: $panel; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._facts: HeaderFacts | None = None

    def show(self, facts: HeaderFacts) -> None:
        """Show these facts."""
        self._facts = facts
        self.redraw()

    def draw(self, width: int) -> Content:
        if self._facts is None:
            return Content()
        facts = self._facts
        feeds = _badges(facts, short=width < 100)
        return text_of([spread(_names(facts), feeds, width), _counts(facts, width)], width)


def _names(facts: HeaderFacts) -> LineOf:
    line: list[Piece] = [("Quarterdeck  ", Tone.MUTED), (", ".join(facts.names) or "no source", Tone.STRONG)]
    if facts.note:
        line.append((f"  {facts.note}", Tone.NOTE))
    if facts.read_only:
        line.append(("  read-only", Tone.WARN))
    if facts.last_known:
        return [*line, (f"  {facts.glyphs.warn} {_last_known(facts)}", Tone.WARN)]
    if _unlisted(facts):  # the empty table says why, whole
        return line
    for badge in facts.summary.feeds:
        if badge.health not in (FeedHealth.LIVE, FeedHealth.STARTING) and badge.state.why:
            name = badge.state.source if facts.sources > 1 else badge.state.name
            line.append((f"  {facts.glyphs.warn} {name}: {badge.state.why}", Tone.BAD))
            break
    return line


def _unlisted(facts: HeaderFacts) -> bool:
    """No node was ever listed, and not because there is none."""
    listed = any(
        badge.state.name == "nodes" and badge.health is FeedHealth.LIVE for badge in facts.summary.feeds
    )
    return not facts.summary.totals.nodes and not listed


def _last_known(facts: HeaderFacts) -> str:
    """`last known 07:12 UTC, 2h ago: connection refused` of the source that was seen the longest ago."""
    source, seen = min(facts.last_known.items(), key=lambda item: item[1])
    day = "" if seen.date() == facts.now.date() else f"{seen:%m-%d} "
    whose = f"{source} " if facts.sources > 1 else ""
    why = next(
        (
            f": {reason(badge.state.why)}"
            for badge in facts.summary.feeds
            if badge.state.source == source and badge.state.why
        ),
        "",
    )
    return f"{whose}last known {day}{seen:%H:%M} UTC, {age(seen, facts.now)} ago{why}"


def reason(why: str) -> str:
    """A feed's trouble without the address that stands before it, which the settings know as well."""
    address, told, rest = why.partition(": ")
    return rest if told and "://" in address else why


def _badges(facts: HeaderFacts, *, short: bool) -> LineOf:
    badges = facts.summary.feeds
    if not badges:
        return [("no feed", Tone.BAD)]
    if facts.last_known:  # what is said of their sources needs the room
        badges = tuple(badge for badge in badges if badge.state.source not in facts.last_known)
        if not badges:
            return []
    live = [badge for badge in badges if badge.health is FeedHealth.LIVE]
    if short and len(live) == len(badges):
        return [(f"{facts.glyphs.stages[Stage.IN_SERVICE]} ", Tone.GOOD), ("live", Tone.MUTED)]
    told = [badge for badge in badges if not short or badge.health is not FeedHealth.LIVE]
    if facts.sources > 1:
        return joined([_badge(badge, facts, name) for name, badge in _by_source(told)], plain("  "))
    return joined([_badge(badge, facts, badge.state.name) for badge in told], plain("  "))


def _by_source(badges: Sequence[FeedBadge]) -> list[tuple[str, FeedBadge]]:
    """Each feed with what it is called beside other sources'; those of one source that fare alike are one, as old as the oldest."""
    sources: dict[str, list[FeedBadge]] = {}
    for badge in badges:
        sources.setdefault(badge.state.source, []).append(badge)
    told: list[tuple[str, FeedBadge]] = []
    for source, feeds in sources.items():
        if len({badge.health for badge in feeds}) == 1:
            told.append((source, min(feeds, key=lambda badge: badge.state.heard or badge.state.since)))
        else:
            told += [(f"{source}/{badge.state.name}", badge) for badge in feeds]
    return told


def _badge(badge: FeedBadge, facts: HeaderFacts, name: str) -> LineOf:
    state = badge.state
    if badge.health is FeedHealth.LIVE:
        return [
            (f"{facts.glyphs.stages[Stage.IN_SERVICE]} ", Tone.GOOD),
            (f"{name} {age(state.heard, facts.now)}", Tone.MUTED),
        ]
    if badge.health is FeedHealth.STARTING:
        return [(f"{facts.glyphs.working} {name} starting", Tone.NOTE)]
    since = age(state.heard or state.since, facts.now)
    return [(f"{facts.glyphs.bad} {name} {badge.health.value.upper()} {since}", Tone.BAD)]


def _counts(facts: HeaderFacts, width: int) -> LineOf:
    """How the fleet stands, most important first: shortened where it is too wide, and then cut with an ellipsis."""
    narrow = width < 100
    separator = ("  " if narrow else f"  {facts.glyphs.bullet}  ", Tone.MUTED)
    groups = _groups(facts, util=not narrow)
    for shorter in (_groups(facts), _groups(facts, of="/")):
        if width_of_line(joined(groups, separator)) > width:
            groups = shorter
    more: list[Piece] = []
    while len(groups) > 2 and width_of_line([*joined(groups, separator), *more]) > width:
        groups.pop()
        more = [(" …", Tone.MUTED)]
    return [*joined(groups, separator), *more]


def _groups(facts: HeaderFacts, *, of: str = " of ", util: bool = False) -> list[LineOf]:
    totals = facts.summary.totals
    unknown = "+?" if totals.gpus_unknown else ""
    groups: list[LineOf] = [
        [(f"{totals.in_service:,}{of}{totals.nodes:,}", Tone.STRONG), (" in service", Tone.MUTED)],
        [
            (f"{totals.gpus_usable:,}{of}{totals.gpus_capacity:,}{unknown}", Tone.STRONG),
            (" GPUs usable", Tone.MUTED),
        ],
    ]
    if _unlisted(facts):
        groups = [
            [("?", Tone.UNKNOWN), (" nodes in service", Tone.MUTED)],
            [("?", Tone.UNKNOWN), (" GPUs usable", Tone.MUTED)],
        ]
    if facts.shown is not None and facts.shown != totals.nodes:
        groups.append([(f"{facts.shown:,} shown", Tone.NOTE)])
    for count, word, tone in (
        (totals.quarantined, "quarantined", Tone.BAD),
        (totals.not_ready, "not ready", Tone.BAD),
        (facts.operations, "running", Tone.NOTE),
        (totals.drifted, "drift", Tone.WARN),
    ):
        if count:
            groups.append([(f"{count:,} {word}", tone)])
    if totals.util is not None and util:
        groups.append([("util ", Tone.MUTED), plain(percent(totals.util))])
    return groups
