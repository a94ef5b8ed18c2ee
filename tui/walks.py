"""Begins a walk of a drill over a deck: the operations that anybody begins there are shown to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet.drill import Drill
from fleet.drill_standing import Walker
from fleet.drill_walk import DrillWalk
from fleet.errors import Blocked, FleetError, Missing
from fleet.runner import OperationRun
from tui import exits
from tui.deck import Deck


@dataclass(frozen=True, slots=True)
class Begun:
    """A walk, or why there is none, with the exit code that this means."""

    walk: DrillWalk | None = None
    why: str = ""
    code: int = exits.DONE


def begin(
    deck: Deck, drill: Drill, changed: Callable[[], None], by_key: Callable[[OperationRun], str]
) -> Begun:
    """`begin_walk`, with what stands against it as a value, for screens."""
    try:
        return Begun(begin_walk(deck, drill, changed, by_key))
    except FleetError as error:
        return Begun(why=str(error), code=exits.code_of(error))


def begin_walk(
    deck: Deck, drill: Drill, changed: Callable[[], None], by_key: Callable[[OperationRun], str]
) -> DrillWalk:
    """A walk over the deck's one source. `by_key` names the key that began a run. Raises Blocked, or Missing with several."""
    if deck.drill_ground is None or deck.dispatcher.read_only:
        raise Blocked("this session is read-only, and a drill makes a node of its own")
    if len(deck.sources) != 1:
        raise Missing(f"name one source for the drill; there are {', '.join(deck.sources)}", about=drill.name)
    source = deck.sources[0]
    walker = Walker(
        dispatcher=deck.dispatcher,
        reader=deck.readers[source],
        ground=deck.drill_ground(source, drill),
        journal=deck.journal,
        clock=deck.clock,
        policy=deck.policy,
        by=deck.by,
        new_id=deck.new_id,
    )
    walk = DrillWalk(drill, walker, changed)
    deck.on_run(lambda run: None if walk.report else _show(walk, run, by_key))
    return walk


def _show(walk: DrillWalk, run: OperationRun, by_key: Callable[[OperationRun], str]) -> None:
    if walk.node in run.plan.request.nodes:
        walk.began(run, by_key(run))
