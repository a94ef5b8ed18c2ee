"""plan, run, gate, provision, resume: one plan, shown, confirmed, run and told, with the exit code that says how it went.

And cancel, of what nobody runs any more.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fleet.cancel_requests import cut_off
from fleet.errors import Blocked, Missing, Unreachable
from fleet.node import NodeKey
from fleet.observation import NodeSeen
from fleet.operation import Operation, OperationState, StepState
from fleet.plan import DrainOptions, NodePlan, Options, Plan, Request, Verb
from fleet.runner import OperationRun
from fleet.store import FeedKey
from fleet.verbs.common import NOT_THERE
from tui.deck import Deck
from tui.exits import BLOCKED, DONE, FAILED, USAGE, code_of_operation
from tui.headless.listing import all_silent, feed_words, silent_sources
from tui.headless.shapes import left_out_shape, operation_shape, plan_shape, put, verdict_shape
from tui.headless.words import of_node, operation_lines, plan_lines, tell, verdict_lines
from tui.interrupts import leave_when_interrupted

KNOWN_WITHIN = timedelta(seconds=60)
"""How long a command waits for the fleet to be listed before it plans over it."""


async def plan(deck: Deck, asked: argparse.Namespace) -> int:
    """`plan VERB NODE...`: show it and change nothing."""
    found, left = await _planned(deck, asked, await _request(deck, asked, Verb(asked.verb), "planned"))
    _show(found, left, json=asked.json)
    return DONE if found.free_to_run else BLOCKED


async def run(deck: Deck, asked: argparse.Namespace) -> int:
    """`run VERB NODE... --reason TEXT`."""
    _refuse_read_only(deck)
    return await _run(deck, asked, await _request(deck, asked, Verb(asked.verb), asked.reason))


async def provision(deck: Deck, asked: argparse.Namespace) -> int:
    """`provision NAME --category C`."""
    _refuse_read_only(deck)
    keys = [NodeKey(_only_source(deck), asked.name)]
    options = Options(image=asked.image, category=asked.category)
    return await _run(deck, asked, deck.request(Verb.PROVISION, keys, asked.reason, options))


async def gate(deck: Deck, asked: argparse.Namespace) -> int:
    """`gate NODE...`: exit 0 on PASS or WARN, 1 on FAIL, 3 on UNKNOWN."""
    if asked.accept and not (asked.reason or "").strip():
        tell("--accept needs --reason: it is kept on the node and in the audit trail; nothing was done")
        return USAGE
    if asked.expires is not None and not asked.accept:
        tell("--expires belongs to --accept CHECK; nothing was done")
        return USAGE
    if not asked.check:
        _refuse_read_only(deck)
    if looks_at_named_nodes(asked, deck):
        keys = [key_of(deck, name) for name in asked.nodes]
        facts = await deck.readers[deck.sources[0]].read(keys, work=False)
        deck.report([NodeSeen(found.node) for found in facts.values()])
    else:
        await _known(deck)
        keys = [key_of(deck, name) for name in asked.nodes]
    return await _run(deck, asked, deck.request(Verb.GATE, keys, asked.reason or "gate", _vouching(asked)))


def looks_at_named_nodes(asked: argparse.Namespace, deck: Deck) -> bool:
    """Whether only the nodes named need be read, and no fleet followed: a check that writes nothing, of one source.

    Ten thousand prologs must not list ten thousand nodes each.
    """
    return asked.command == "gate" and bool(asked.check) and len(deck.sources) == 1


def _vouching(asked: argparse.Namespace) -> Options:
    return Options(
        check_only=asked.check,
        accept=asked.accept or "",
        accept_for=asked.expires if isinstance(asked.expires, timedelta) else None,
        accept_until=asked.expires if isinstance(asked.expires, datetime) else None,
        repaired=(asked.repaired or "").strip(),
    )


async def resume(deck: Deck, asked: argparse.Namespace) -> int:
    """`resume OPERATION`: go on where it was cut off."""
    _refuse_read_only(deck)
    operation = await deck.journal.operation(asked.operation)
    if operation is None:
        raise Missing("there is no such operation in the journal", about=asked.operation)
    if not asked.yes and not await _agreed(operation.plan, f"resume {operation.id}"):
        return BLOCKED
    started = await deck.dispatcher.resume(operation)
    return _told(deck, await _follow(deck, started), json=asked.json)


async def cancel(deck: Deck, asked: argparse.Namespace) -> int:
    """`cancel OPERATION` of one whose program is gone: end it from here. Exit 0 once it is cancelled, else 1."""
    _refuse_read_only(deck)
    operation = await cut_off(deck.journal, asked.operation)
    if operation is None:
        raise Blocked("somebody goes on with it, or it has ended, by now: look again", about=asked.operation)
    tell(f"nobody runs {operation.id} any more: it is cancelled from here")
    ended = await _follow(deck, await deck.dispatcher.resume(operation, to_cancel=True))
    _told(deck, ended, json=asked.json)
    return DONE if ended.state is OperationState.CANCELLED else FAILED


def _refuse_read_only(deck: Deck) -> None:
    """Refuse what a read-only session may not do before anything is asked or read. Raises Blocked."""
    if deck.dispatcher.read_only:
        raise Blocked("this session is read-only: nothing was done")


async def _request(deck: Deck, asked: argparse.Namespace, verb: Verb, reason: str) -> Request:
    await _known(deck)
    options = Options(
        drain=DrainOptions(
            ignore_daemonsets=asked.ignore_daemonsets,
            delete_emptydir=asked.delete_emptydir_data,
            force=asked.force,
            requeue=asked.requeue,
            grace=_grace(asked.grace_period),
            deadline=asked.timeout,
        ),
        image=asked.to,
        take_over=tuple(asked.take_over or ()),
    )
    return deck.request(verb, [key_of(deck, name) for name in asked.nodes], reason, options)


async def _known(deck: Deck) -> None:
    """Wait until the fleet is listed, and say of which of several sources it is not. Raises Unreachable where it is of none."""
    await deck.known(KNOWN_WITHIN)
    words = _unheard(deck)
    if not words or len(deck.sources) == 1:
        return
    if all_silent(deck):
        raise Unreachable(words, about="the fleet")
    tell(f"this is a part of the fleet: {words}")


def _unheard(deck: Deck) -> str:
    """The feeds of nodes that are not live, each with why."""
    states = {FeedKey(state.source, state.name): state for state in deck.store.feed_states()}
    feeds = sorted(silent_sources(deck))
    return "; ".join(
        feed_words(states[feed]) if feed in states else f"{feed.source}/{feed.name} has not answered"
        for feed in feeds
    )


def _grace(seconds: int | None) -> timedelta | None:
    """As kubectl reads it: a negative one leaves each pod its own."""
    return None if seconds is None or seconds < 0 else timedelta(seconds=seconds)


async def _run(deck: Deck, asked: argparse.Namespace, request: Request) -> int:
    found, left = await _planned(deck, asked, request)
    if not found.free_to_run:
        _show(found, left, json=asked.json)
        await deck.dispatcher.refused(request, found.all_blockers[0].says)
        tell("nothing was changed")
        return USAGE if _names_nobody(found) else BLOCKED
    if asked.plan is not None and asked.plan != found.hash:
        tell(f"the plan is not the one you read: it is {found.hash} now")
        _show(found, left, json=asked.json)
        return BLOCKED
    if not await _confirmed(found, asked):
        if asked.json:
            _show(found, left, json=True)
        return BLOCKED
    ended = await _follow(deck, deck.dispatcher.start(found))
    return _told(deck, ended, left, json=asked.json)


async def _planned(
    deck: Deck, asked: argparse.Namespace, request: Request
) -> tuple[Plan, tuple[NodePlan, ...]]:
    """The plan, and with --skip-blocked what was left out of it: nodes that are there and blocked, said by name.

    A name that nobody has is a mistake, and is never skipped; nor is anything where no node would be left.
    """
    left: list[NodePlan] = []
    found = await deck.dispatcher.plan(request)
    while vars(asked).get("skip_blocked") and (more := _skippable(found)):
        left += more
        rest = tuple(share.node for share in found.nodes if share not in more)
        found = await deck.dispatcher.plan(replace(request, nodes=rest))
    for share in left:
        first = share.blockers[0]
        tell(f"left out {share.node.name}: {first.says}" + (f" ({first.go_on})" if first.go_on else ""))
    return found, tuple(left)


def _skippable(found: Plan) -> list[NodePlan]:
    blocked = [share for share in found.nodes if share.blockers]
    skipped = [share for share in blocked if share.found != NOT_THERE]
    return skipped if len(blocked) < len(found.nodes) else []


def _names_nobody(found: Plan) -> bool:
    """Whether a node that was named is not there."""
    return found.verb is not Verb.PROVISION and any(node.found == NOT_THERE for node in found.nodes)


async def _confirmed(found: Plan, asked: argparse.Namespace) -> bool:
    """Whether the operator agreed: by --yes, by --yes with --plan where it must be typed, or at the terminal."""
    if found.changes_nothing:
        return True
    if asked.yes and (asked.plan is not None or not found.typed or not found.steps):
        return True
    if not sys.stdin.isatty():
        needed = f"--yes --plan {found.hash}" if found.typed else "--yes"
        tell(f"not confirmed: without a terminal this needs {needed}; nothing was done")
        return False
    return await _agreed(found, f"{found.verb.value} {len(found.nodes)} nodes")


async def _agreed(found: Plan, what: str) -> bool:
    for line in plan_lines(found):
        tell(line)
    if not sys.stdin.isatty():
        tell("not confirmed: without a terminal this needs --yes; nothing was done")
        return False
    wanted = (
        "y"
        if not found.typed
        else found.nodes[0].node.name
        if len(found.nodes) == 1
        else str(len(found.nodes))
    )
    tell(f"{what}: type {wanted} to go on, anything else to stop")
    if await _typed() == wanted:
        return True
    tell("not confirmed: nothing was done")
    return False


async def _typed() -> str:
    """The line that is typed next, without holding up the feeds: no thread waits for it, which nothing could end."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ready.set)
    try:
        await ready.wait()
    except asyncio.CancelledError:
        tell("interrupted: nothing was done")
        raise
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip()


async def _follow(deck: Deck, run: OperationRun) -> Operation:
    """Tell each change until the operation ended. Interrupted once, it is cancelled; twice, left to be resumed."""
    told: dict[NodeKey, str] = {}

    def changed(now: OperationRun) -> None:
        for key, progress in list(now.progress.items()):
            if key in now.records and now.plan.verb is Verb.GATE:
                continue  # its verdict is what is printed at the end
            waits = "".join(f"; waits for {wait.says}" for wait in progress.waiting[:3])
            line = of_node(key.name, f"{progress.says}{waits}")
            if told.get(key) != line:
                told[key] = line
                tell(line)

    deck.on_run(changed)
    loop = asyncio.get_running_loop()
    interrupts = 0

    def interrupted() -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts == 1:
            tell("cancelling at the next safe point; interrupt again to leave it to be resumed")
            deck.dispatcher.cancel(run.operation.id)
        else:
            leaving.append(asyncio.ensure_future(deck.dispatcher.leave()))

    leaving: list[asyncio.Future[None]] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    try:
        return await deck.dispatcher.finished(run.operation.id)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        leave_when_interrupted()


def _told(deck: Deck, ended: Operation, left: Sequence[NodePlan] = (), *, json: bool) -> int:
    records = deck.dispatcher.runs[ended.id].records
    if json:
        shape = operation_shape(ended)
        shape["left_out"] = [left_out_shape(share) for share in left]
        shape["verdicts"] = {key.name: verdict_shape(record) for key, record in records.items()}
        put(shape)
    for line in operation_lines(ended):
        tell(line)
    if not json:
        for key, record in records.items():
            for line in verdict_lines(key.name, record):
                print(line)  # noqa: T201 - the verdict is what was asked for
    return _verdict_code(ended) if ended.plan.verb is Verb.GATE else code_of_operation(ended)


def _verdict_code(ended: Operation) -> int:
    evidence = {outcome.evidence for outcome in ended.outcomes if outcome.state is StepState.FAILED}
    if "FAIL" in evidence:
        return FAILED
    return code_of_operation(ended)


def _show(found: Plan, left: Sequence[NodePlan] = (), *, json: bool) -> None:
    if json:
        shape = plan_shape(found)
        shape["left_out"] = [left_out_shape(share) for share in left]
        put(shape)
        return
    for line in plan_lines(found):
        print(line)  # noqa: T201 - the plan is what was asked for


def key_of(deck: Deck, name: str) -> NodeKey:
    """The node that `name` or `source/name` means; of a machine of two sources the side that stands for it.

    Raises Missing where several sources have one of that name, and Unreachable where the source that may have it does not answer.
    """
    source, slash, rest = name.partition("/")
    if slash and source in deck.sources:
        return NodeKey(source, rest)
    holders = [key for key in (NodeKey(source, name) for source in deck.sources) if key in deck.store]
    if len(holders) > 1:
        holders = [key for key in holders if deck.store.rows_by_key[key].shown]
    if len(holders) > 1:
        raise Missing("several sources have a node of that name; say SOURCE/NODE", about=name)
    if not holders and len(deck.sources) > 1 and (words := _unheard(deck)):
        raise Unreachable(f"no source that answers has it; {words}", about=name)
    return holders[0] if holders else NodeKey(next(iter(deck.sources)), name)


def _only_source(deck: Deck) -> str:
    if len(deck.sources) != 1:
        raise Missing(f"name one source; there are {', '.join(deck.sources)}", about="provision")
    return deck.sources[0]
