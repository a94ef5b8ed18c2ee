"""A drill at a person's pace: a coach's words may be read for as long as they take."""

from __future__ import annotations

from datetime import timedelta

from tests.drilled import ground
from tui.drill_file import load_drill

DRILL = load_drill("lifecycle")
FAST = timedelta(seconds=1)


async def test_whoever_reads_on_while_the_operation_ends_still_sees_what_it_came_to() -> None:
    async with ground(stride=FAST) as here:
        walk = here.walk(DRILL)
        await walk.open()
        await walk.do_it("n")
        await here.looks_until_observed(walk, 1)
        (running,) = walk.walker.dispatcher.running()
        await walk.walker.dispatcher.finished(running.operation.id)
        await here.clock.sleep(timedelta(minutes=2))
        await walk.do_it("n")
        await here.looks_until_observed(walk, 2)
        told = walk.checkpoints[1]
        assert told.observed, told.evidence
        assert "gpus FAIL (7 GPUs, wants 8 GPUs)" in " ".join(told.evidence)
        await walk.leave()
