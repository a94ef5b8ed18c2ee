"""The signs that stand beside colour, so that colour is never the only one: a Unicode set and an ASCII set.

Every glyph is one cell wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from fleet.health import Verdict
from fleet.node import Stage


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs. `bar_full`, `bar_half` and `bar_rest` draw ratios; `rule` draws lines; `heat` goes from cool to hot."""

    cursor: str
    marked: str
    partly_marked: str
    unfolded: str
    folded: str
    ascending: str
    descending: str
    bar_full: str
    bar_half: str
    bar_rest: str
    rule: str
    ellipsis: str
    arrow: str
    bullet: str
    good: str
    note: str
    warn: str
    bad: str
    working: str
    unknown: str
    degrees: str
    checked: str
    unchecked: str
    heat: tuple[str, ...]
    stages: Mapping[Stage, str]

    @property
    def letters(self) -> str:
        """Every character that may be drawn."""
        return "".join((*(str(getattr(self, each.name)) for each in fields(self)), *self.stages.values()))

    def verdict(self, verdict: Verdict) -> str:
        """The sign of a verdict."""
        return {
            Verdict.PASS: self.good,
            Verdict.WARN: self.warn,
            Verdict.FAIL: self.bad,
            Verdict.UNKNOWN: self.unknown,
        }[verdict]


UNICODE = Glyphs(
    cursor="▌",
    marked="◆",
    partly_marked="◇",
    unfolded="▾",
    folded="▸",
    ascending="▴",
    descending="▾",
    bar_full="━",
    bar_half="╸",
    bar_rest="─",
    rule="─",
    ellipsis="…",
    arrow="→",
    bullet="·",
    good="✓",
    note="•",
    warn="▲",
    bad="✗",
    working="»",
    unknown="?",
    degrees="°",
    checked="■",
    unchecked="□",
    heat=("·", "░", "▒", "▓", "█"),
    stages={
        Stage.PROVISIONING: "◌",
        Stage.GATED: "◇",
        Stage.IN_SERVICE: "●",
        Stage.DRAINING: "◐",
        Stage.DRAINED: "○",
        Stage.REIMAGING: "◑",
        Stage.QUARANTINED: "✗",
        Stage.RETIRING: "◒",
        Stage.RETIRED: "·",
    },
)

ASCII = Glyphs(
    cursor=">",
    marked="*",
    partly_marked="+",
    unfolded="-",
    folded="+",
    ascending="^",
    descending="v",
    bar_full="#",
    bar_half="=",
    bar_rest=".",
    rule="-",
    ellipsis="~",
    arrow=">",
    bullet="-",
    good="+",
    note="-",
    warn="!",
    bad="x",
    working=">",
    unknown="?",
    degrees=" ",
    checked="x",
    unchecked=" ",
    heat=(".", "-", "+", "#", "@"),
    stages={
        Stage.PROVISIONING: "%",
        Stage.GATED: "#",
        Stage.IN_SERVICE: "o",
        Stage.DRAINING: "d",
        Stage.DRAINED: "-",
        Stage.REIMAGING: "i",
        Stage.QUARANTINED: "x",
        Stage.RETIRING: "r",
        Stage.RETIRED: ".",
    },
)
