"""The legal moves between stages. Everything else is refused here, whoever asks."""

from __future__ import annotations

from fleet.errors import Blocked
from fleet.node import Stage

_MOVES: dict[Stage, frozenset[Stage]] = {
    Stage.PROVISIONING: frozenset(
        {Stage.GATED, Stage.IN_SERVICE, Stage.REIMAGING, Stage.QUARANTINED, Stage.RETIRING, Stage.DRAINING}
    ),
    Stage.GATED: frozenset(
        {Stage.IN_SERVICE, Stage.REIMAGING, Stage.QUARANTINED, Stage.RETIRING, Stage.DRAINING}
    ),
    Stage.IN_SERVICE: frozenset({Stage.DRAINING, Stage.QUARANTINED, Stage.RETIRING, Stage.GATED}),
    Stage.DRAINING: frozenset(
        {Stage.DRAINED, Stage.IN_SERVICE, Stage.QUARANTINED, Stage.RETIRING, Stage.REIMAGING}
    ),
    Stage.DRAINED: frozenset(
        {Stage.REIMAGING, Stage.IN_SERVICE, Stage.GATED, Stage.QUARANTINED, Stage.RETIRING, Stage.DRAINING}
    ),
    Stage.REIMAGING: frozenset(
        {Stage.GATED, Stage.IN_SERVICE, Stage.QUARANTINED, Stage.RETIRING, Stage.DRAINING}
    ),
    Stage.QUARANTINED: frozenset(
        {Stage.IN_SERVICE, Stage.GATED, Stage.DRAINING, Stage.REIMAGING, Stage.RETIRING}
    ),
    Stage.RETIRING: frozenset(
        {
            Stage.RETIRED,
            Stage.DRAINED,
            Stage.DRAINING,
            Stage.REIMAGING,
            Stage.IN_SERVICE,
            Stage.QUARANTINED,
        }
    ),
    Stage.RETIRED: frozenset({Stage.PROVISIONING}),
}


def may_move(start: Stage, end: Stage) -> bool:
    """Whether a node may go from `start` to `end`. Staying is always legal."""
    return start is end or end in _MOVES[start]


def move(start: Stage, end: Stage, *, node: str = "") -> Stage:
    """`end`, or Blocked where the move is not legal."""
    if not may_move(start, end):
        raise Blocked(f"a node that is {start.value} can't become {end.value}", about=node)
    return end
