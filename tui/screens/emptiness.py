"""Why the fleet table is empty, in one line: listing still, no answer, not permitted, or a filter that nothing matches."""

from __future__ import annotations

from fleet.feeds import FeedHealth, FeedState
from fleet.selection import Selection
from tui.session import Session
from widgets.wording import age

NODES = "nodes"
_FAILED = (FeedHealth.DENIED, FeedHealth.UNREACHABLE, FeedHealth.GARBLED, FeedHealth.THROTTLED)


def why_empty(session: Session, selection: Selection) -> str:
    """One line for an empty table."""
    store = session.deck.store
    if len(store):
        return f"no node matches {selection}: esc clears the filter"
    feeds = [state for state in store.feed_states() if state.name == NODES]
    failed = next((state for state in feeds if state.health in _FAILED), None)
    if failed is not None:
        return _failed(failed, session)
    if feeds and all(state.health is FeedHealth.LIVE for state in feeds):
        return "there is no node in this fleet"
    return "listing the nodes…"


def _failed(state: FeedState, session: Session) -> str:
    span = age(state.since, session.now)
    why = f": {state.why}" if state.why else ""
    if state.health is FeedHealth.DENIED:
        return (
            f"{state.source} does not let us list nodes{why}. `quarterdeck doctor` says which role is missing"
        )
    return f"{state.source} is {state.health.value} for {span}{why}. Trying again; `quarterdeck doctor` tells more"
