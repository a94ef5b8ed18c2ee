"""Waits for a node's own word that it has booted, at the image that was put on it.

A boot that differs from the one recorded is a new bootID, or, where an agent reports none (KWOK), a new Node object that has
become Ready since: a Node is made without conditions, so a Ready one was heard of after it was made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from backends.kubernetes.guarded import denial_may_pass
from backends.kubernetes.our_keys import same_image
from fleet.errors import Blocked, Conflict, Denied, FleetError, Rejected, TimedOut
from fleet.node import Readiness
from fleet.operation import Outcome, Progress, StepState, Waiting
from fleet.plan import AwaitBoot, NodeFacts, Step
from fleet.ports import Clock, Reader

PAUSES = (1.0, 1.0, 2.0, 2.0, 5.0)
"""Seconds between looks, the last one from then on."""

_NODE = "the node"


async def await_boot(
    step: Step, action: AwaitBoot, *, reader: Reader, clock: Clock, report: Callable[[Progress], None]
) -> Outcome:
    """Return once the node has booted `action.image`. Raises TimedOut with what it still lacks, Denied."""
    began, looks = clock.monotonic(), 0
    looked: float | None = None
    while True:
        try:
            facts = (await reader.read([step.node])).get(step.node)
        except (Blocked, Conflict, Rejected):
            raise
        except FleetError as error:
            if isinstance(error, Denied) and not denial_may_pass(clock, looked):
                raise
            waiting: tuple[Waiting, ...] = (Waiting(_NODE, f"to be seen: {error}"),)
        else:
            waiting, looked = lacking(step, action, facts), clock.monotonic()
            if facts is not None and not waiting:
                return Outcome(step.id, step.node, StepState.DONE, f"booted {action.image}", evidence(facts))
        passed = clock.monotonic() - began
        if passed >= action.deadline.total_seconds():
            wants = "; ".join(wait.on for wait in waiting)
            raise TimedOut(f"not booted after {passed:.0f} s: it has yet {wants}", about=step.node.name)
        report(Progress(step.id, step.node, f"booting for {passed:.0f} s", waiting))
        left = action.deadline.total_seconds() - passed
        await clock.sleep(timedelta(seconds=min(left, PAUSES[min(looks, len(PAUSES) - 1)])))
        looks += 1


def lacking(step: Step, action: AwaitBoot, facts: NodeFacts | None) -> tuple[Waiting, ...]:
    """What the node does not show yet, each in words; nothing where it has booted."""
    if facts is None:
        return (Waiting(_NODE, "to be there"),)
    node, before, wants = facts.node, step.before, []
    if before.uid and node.uid == before.uid and (not node.boot_id or node.boot_id == before.boot_id):
        wants.append("to boot: it shows the boot recorded before")
    if node.readiness is not Readiness.READY:
        wants.append(f"to be Ready: it is {node.readiness.value}")
    if not same_image(node.image.running, action.image):
        wants.append(f"to report the image {action.image}: it shows {node.image.running or 'none'}")
    return tuple(Waiting(_NODE, want) for want in wants)


def evidence(facts: NodeFacts) -> str:
    """What shows the boot: its id, or the Node's uid where the agent tells no id."""
    node = facts.node
    return f"bootID {node.boot_id}" if node.boot_id else f"uid {node.uid}"
