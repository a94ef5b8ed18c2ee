"""Walks over nodes of a batch system: its jobs end in their own time, start anew elsewhere, or are lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from fleet.store import FeedKey
from fleet.workload import Keeper, Placement, WorkloadId
from tests.driver import Driver
from tests.fakes import SOURCE, key
from tests.lab_fleet import Fleet, lab_fleet
from tui.commands import DRAIN
from tui.settings import Settings

NODE = "h100-004"


def job(number: str, user: str, left: timedelta | None, *, requeues: bool = True) -> Placement:
    """A job on four GPUs."""
    return Placement(
        "",
        number,
        number,
        WorkloadId(user, "job", number),
        Keeper.CONTROLLER if requeues else Keeper.NOBODY,
        gpus=4,
        user=user,
        time_left=left,
        waits=True,
    )


def batch_fleet(theme: str = "dark") -> Fleet:
    """The lab fleet as if its source were a batch system; on one node a job that can start anew, and one that can't."""
    fleet = lab_fleet(settings=Settings(theme=theme))
    fleet.deck.feeds = (FeedKey(SOURCE, "nodes"), FeedKey(SOURCE, "jobs"))
    facts = fleet.lab.facts[key(NODE)]
    jobs = (job("71", "trainer", timedelta(hours=3)), job("72", "research", None, requeues=False))
    fleet.lab.facts[key(NODE)] = replace(facts, placements=jobs)
    return fleet


async def confirm_requeue(at: Driver) -> None:
    """A drain of that node, with jobs requeued and what can't be given up."""
    await at.select(NODE)
    await at.press(DRAIN)
    await at.planned()
    await at.turn("--requeue")
    await at.sees("can't be requeued, so it would be lost")
    await at.turn("--force")
    await at.sees("lost, for it can't be requeued: 72")
    await at.planned()
