"""Whatever fails, is cancelled, left or killed, and in whatever order: what must hold of the node at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import Conflict, Denied, FleetError, TimedOut, Unreachable
from fleet.health import Verdict
from fleet.holder import Hold
from fleet.node import Admission, Stage
from fleet.operation import OperationState
from fleet.plan import ApplyVerdict, Release, Verb
from tests.desk import Desk, Killed
from tests.fakes import Lab, key, node, pod

ACTIONS = ("Close", "MoveWork", "Mark", "PutImage", "AwaitBoot", "ApplyVerdict", "Remove", "Release")
ERRORS = (Conflict, Denied, TimedOut, Unreachable)
COLLEAGUE = Hold(by="other@desk", reason="cable swap", verb="cordon", operation="op-0")


@dataclass(frozen=True)
class Trouble:
    """What befalls one attempt: failures and lost answers by action, a stop at an action, a death after some records."""

    fails: tuple[tuple[str, type[FleetError]], ...] = ()
    loses: frozenset[str] = frozenset()
    stop_at: str | None = None
    leave: bool = False
    finishes: bool = False
    dies_after: int | None = None


troubles = st.builds(
    Trouble,
    fails=st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(ERRORS)), max_size=2).map(tuple),
    loses=st.frozensets(st.sampled_from(ACTIONS), max_size=2),
    stop_at=st.none() | st.sampled_from(ACTIONS),
    leave=st.booleans(),
    finishes=st.booleans(),
    dies_after=st.none() | st.integers(0, 10),
)


@settings(max_examples=150)
@given(
    verb=st.sampled_from([Verb.CORDON, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE, Verb.GATE]),
    held=st.booleans(),
    verdict=st.sampled_from([Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN]),
    attempts=st.lists(troubles, min_size=1, max_size=3),
)
def test_no_ending_costs_a_node_its_name_or_its_gate(
    verb: Verb, held: bool, verdict: Verdict, attempts: list[Trouble]
) -> None:
    asyncio.run(_walk(verb, held, verdict, attempts))


async def _walk(verb: Verb, held: bool, verdict: Verdict, attempts: list[Trouble]) -> None:
    desk = Desk()
    closed: dict[str, Any] = {"admission": Admission.CORDONED, "holds": (COLLEAGUE,)} if held else {}
    desk.lab.add(node(**closed), pod())
    desk.lab.verdict = verdict
    for number, trouble in enumerate(attempts):
        if not await _attempt(desk, verb, trouble, first=number == 0):
            break
        _must_hold(desk.lab, held, verdict)
    _must_hold(desk.lab, held, verdict)


async def _attempt(desk: Desk, verb: Verb, trouble: Trouble, *, first: bool) -> bool:
    """Begin or go on with the operation in this trouble. False where nothing is left to go on with."""
    lab = desk.lab
    lab.fails = {name: error("in trouble") for name, error in trouble.fails}
    lab.loses = set(trouble.loses)
    lab.finishes = set(ACTIONS) if trouble.finishes else set()
    lab.holds = {} if trouble.stop_at is None else {trouble.stop_at: asyncio.Event()}
    lab.reached.clear()
    if key("gpu-1") in lab.facts and lab.node().image.running == "v2":
        lab.change(key("gpu-1"), operation="op-1")
    dispatcher = desk.dispatcher = desk.another()
    found = await desk.journal.operation("op-1")
    if found is not None and found.state in (OperationState.DONE, OperationState.CANCELLED):
        return False
    written = len(desk.journal.written)
    if trouble.dies_after is not None:
        desk.dies_after(written + trouble.dies_after)
    if found is None:
        await desk.start(verb)
    else:
        await dispatcher.resume(found)
    ending: asyncio.Future[Any] = asyncio.ensure_future(desk.ended("op-1", dispatcher))
    reached = asyncio.ensure_future(lab.reached.wait())
    await asyncio.wait({ending, reached}, return_when=asyncio.FIRST_COMPLETED)
    reached.cancel()
    stopping = [ending]
    if dispatcher.running():
        if trouble.leave:
            # An ending that is being written is waited for, so that it must be let go on.
            stopping.append(asyncio.ensure_future(dispatcher.leave()))
            await asyncio.sleep(0)
        else:
            dispatcher.cancel("op-1")
        for waits in lab.holds.values():
            waits.set()
    await asyncio.gather(*stopping, return_exceptions=True)
    if trouble.dies_after is not None:
        desk.lives_again()
    assert dispatcher.running() == ()
    assert ending.exception() is None or isinstance(ending.exception(), Killed)
    return await desk.journal.operation("op-1") is not None


def _must_hold(lab: Lab, held: bool, verdict: Verdict) -> None:
    facts = lab.facts.get(key("gpu-1"))
    once = Counter(step.id for step in lab.performed if type(step.action).__name__ in ("PutImage", "Remove"))
    assert all(count == 1 for count in once.values())
    if facts is None:
        assert any(type(step.action).__name__ == "Remove" for step in lab.performed)
        return
    found = facts.node
    ours = [hold for hold in found.holds if hold.operation == "op-1"]
    assert not held or COLLEAGUE in found.holds
    if held:
        assert found.admission is not Admission.OPEN
    elif found.admission is not Admission.OPEN:
        assert ours, "closed, and nobody is named"
        assert all(hold.by == "oncall@desk" and hold.reason for hold in ours)
    elif any(type(step.action).__name__ == "PutImage" for step in lab.performed):
        assert verdict is Verdict.PASS, "opened without a pass"
        assert any(isinstance(step.action, ApplyVerdict) and step.action.admit for step in lab.performed)
    elif any(type(step.action).__name__ == "Close" for step in lab.performed):
        assert any(isinstance(step.action, Release) for step in lab.performed), "opened by nobody"
    if found.admission is Admission.OPEN:
        assert found.stage is Stage.IN_SERVICE
