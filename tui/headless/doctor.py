"""doctor: can I reach it, may I, do the metrics join the nodes, which versions. Each answer says how to mend it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta

from fleet.errors import FleetError
from fleet.feeds import FeedHealth
from fleet.node import Stage
from fleet.plan import Permission, Verb
from fleet.row import FleetRow
from tui.deck import Deck
from tui.exits import DONE, FAILED, UNREACHABLE
from tui.headless.examined import Examined, lines_of, shape_of
from tui.headless.joins import of_joins
from tui.headless.metrics import of_metrics
from tui.headless.shapes import put

KNOWN_WITHIN = timedelta(seconds=60)
_AFAR = "check the server, the network and the credentials"
_ON_THIS_HOST = "look at this host's driver with nvidia-smi; see docs/nvml.md"


async def doctor(deck: Deck, asked: argparse.Namespace) -> int:
    """Exit 0 when all is well, 4 when a source can't be reached or read, 1 for anything else that is not."""
    answers = [answer async for answer in _sources(deck)]
    reached = all(answer.ok for answer in answers)
    await deck.known(KNOWN_WITHIN, {feed.name for feed in deck.feeds})
    told = [*answers, *await _remarks(deck), *_feeds(deck), *_fleet(deck), *await of_metrics(deck)]
    if asked.json:
        put([shape_of(answer) for answer in told])
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in (line for answer in told for line in lines_of(answer, width)):
            print(line)  # noqa: T201 - the answer
    if not reached:
        return UNREACHABLE
    return FAILED if any(answer.ok is False for answer in told) else DONE


async def _sources(deck: Deck) -> AsyncIterator[Examined]:
    for source, reader in deck.readers.items():
        try:
            identity = await reader.identity()
        except FleetError as error:
            yield Examined(
                f"{source} reach", False, str(error), _ON_THIS_HOST if deck.settings.nvml else _AFAR
            )
            continue
        said = f"{identity.server or 'server not named'}, identity {identity.identity or 'unknown'}"
        yield Examined(f"{source} reach", True, said)
        try:
            permissions = await reader.allowed(list(Verb))
        except FleetError as error:
            yield Examined(f"{source} permission", None, str(error))
            continue
        denied = [verb.value for verb, found in permissions.items() if found is Permission.DENIED]
        if denied == [Verb.PROVISION.value]:
            yield Examined(f"{source} permission", True, "every verb but provision")
            continue
        unknown = [verb.value for verb, found in permissions.items() if found is Permission.UNKNOWN]
        says = (
            "none: it is only looked at"
            if Permission.NOBODY in permissions.values()
            else f"denied: {', '.join(denied)}"
            if denied
            else f"unknown: {', '.join(unknown)}"
            if unknown
            else "every verb"
        )
        yield Examined(
            f"{source} permission",
            False if denied else None if unknown else True,
            says,
            "see docs/permissions.md for the role to ask for",
        )


async def _remarks(deck: Deck) -> Sequence[Examined]:
    """What each backend says of its own cluster: its version, and what else it has to say."""
    found: list[Examined] = []
    for source, examine in deck.examiners.items():
        try:
            remarks = await examine()
        except FleetError as error:
            found.append(Examined(f"{source} version", None, str(error)))
            continue
        found += [Examined(remark.about, remark.ok, remark.says, remark.mend) for remark in remarks]
    return found


def _feeds(deck: Deck) -> Iterator[Examined]:
    states = {(state.source, state.name): state for state in deck.store.feed_states()}
    for feed in deck.feeds:
        state = states.get((feed.source, feed.name))
        if state is None:
            yield Examined(f"{feed.source} feed {feed.name}", None, "no word yet")
            continue
        live = state.health is FeedHealth.LIVE
        yield Examined(f"{feed.source} feed {feed.name}", live, state.why or state.health.value)


def _fleet(deck: Deck) -> Iterator[Examined]:
    rows = list(deck.store.rows())
    if not rows:
        yield Examined("nodes", None, "none are known")
        return
    shown = sum(row.shown for row in rows)
    both = f", of {len(rows) - shown} two sources tell" if shown != len(rows) else ""
    yield Examined("nodes", True, f"{shown} nodes{both}")
    for remark in of_joins(deck):
        yield Examined(remark.about, remark.ok, remark.says, remark.mend)
    for name, values in (
        ("category", Counter(row.node.category_from or "nothing" for row in rows)),
        ("image", Counter(row.node.image.running_from or "nothing" for row in rows)),
        ("agent version", Counter(row.node.software.agent or "unknown" for row in rows)),
        ("driver", Counter(row.node.software.driver or "unknown" for row in rows)),
    ):
        says = ", ".join(f"{value} on {count}" for value, count in values.most_common(5))
        yield Examined(f"nodes {name} from" if name in ("category", "image") else f"nodes {name}", True, says)
    yield _gates(rows, deck.policy.prefix)
    undesired = sum(row.node.image.desired is None for row in rows)
    if undesired:
        says = f"{undesired} of {len(rows)} nodes have none"
        yield Examined("nodes desired image", None, says, "set desired_image of their categories")


def _gates(rows: Sequence[FleetRow], prefix: str) -> Examined:
    """Whether nodes came into service by a gate: only a taint that the agent itself registers with closes one in time."""
    serving = [row.node for row in rows if row.node.stage is Stage.IN_SERVICE]
    passed_by = Counter(node.category or "no category" for node in serving if node.gate is None)
    if not passed_by:
        return Examined("nodes gate", True, f"each of {len(serving)} nodes in service has a gate's verdict")
    says = ", ".join(f"{count} of {category}" for category, count in passed_by.most_common(5))
    return Examined(
        "nodes gate",
        None,
        f"{passed_by.total()} of {len(serving)} nodes in service have no gate's verdict: {says}",
        f"have kubelets register with the taint {prefix}health-gate=pending:NoSchedule (registerWithTaints)",
    )
