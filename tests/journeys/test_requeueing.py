"""A drain of a batch node as it is confirmed: wait for its jobs, or take them away at a cost that is shown first."""

from __future__ import annotations

from fleet.plan import MoveWork
from tests.driver import at_the_desk
from tests.fakes import SOURCE
from tests.snapshots.batch_scenes import NODE, batch_fleet, confirm_requeue
from tui.commands import DRAIN


async def test_a_drain_waits_and_says_for_which_jobs_until_requeue_is_ticked() -> None:
    async with at_the_desk(fleet=batch_fleet()) as at:
        await at.select(NODE)
        await at.press(DRAIN)
        await at.sees(
            "waits for 2 to end in its own time",
            "71 (user trainer, 3 h 0 min left, 4 GPUs)",
            "72 (user research, no time limit,",
            "71 may run past the deadline of 1 h: --requeue starts it anew elsewhere",
            "72 may run past the deadline of 1 h, and can't be requeued",
            "--requeue jobs, to start anew elsewhere",
        )
        await at.sees_no("--delete-emptydir-data")
        await at.sees_no("--grace-period")


async def test_requeueing_is_blocked_by_a_job_that_would_be_lost_until_it_is_given_up_by_name() -> None:
    fleet = batch_fleet()
    async with at_the_desk(fleet=fleet) as at:
        await confirm_requeue(at)
        await at.sees("requeued jobs start anew")
        await at.confirm("firmware")
        await at.ended()
    (move,) = (step.action for step in fleet.lab.performed if isinstance(step.action, MoveWork))
    assert (move.options.requeue, move.options.force) == (True, True)


async def test_a_fleet_of_pods_is_asked_nothing_about_jobs() -> None:
    async with at_the_desk() as at:
        assert SOURCE in {feed.source for feed in at.deck.feeds}
        await at.select(NODE)
        await at.press(DRAIN)
        await at.sees("--delete-emptydir-data")
        await at.sees_no("--requeue")
