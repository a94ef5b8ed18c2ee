"""Two operators at one node of a real Slurm: who began unseen by the other is named, and the other goes no further."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from backends.slurm.retiring import Retirement
from fleet.category import SLURM_REBOOT
from fleet.errors import Conflict
from fleet.holder import Hold
from fleet.node import Admission, Stage
from fleet.operation import StepState
from fleet.plan import Action, Close, PutImage, Release, Remove
from tests.contract.test_slurm_verbs import OPERATION, Bench, after, bench_of, hold
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-trouble")]

THEIRS = hold("retire", "colleague", "op-2", "dead fan")
MINE = hold("reimage")
NAMED = r"operation op-2 \(retire\) of colleague began on it .*dead fan"
TAKING_AWAY = (
    Close(MINE, Stage.DRAINING, gate=True),
    Close(hold("drain"), Stage.DRAINING),
    Close(hold("retire"), Stage.RETIRING),
    PutImage("v2", SLURM_REBOOT, MINE),
    Remove(OPERATION),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 2) as lab:
        yield lab


@pytest.fixture
def bench(shared: SlurmLab) -> Iterator[Bench]:
    """Two nodes, put back to idle with nothing written on them."""
    yield bench_of(shared)
    every = ",".join(shared.nodes)
    shared.scontrol("update", f"NodeName={every}", "State=UNDRAIN", check=False)
    shared.scontrol("update", f"NodeName={every}", "State=RESUME", check=False)
    shared.update(every, "Extra=", "Comment=")
    for node in shared.nodes:
        shared.node_is(node, "IDLE", without=("DRAIN", "NOT_RESPONDING", "COMPLETING"))


def written(bench: Bench) -> tuple[str, ...]:
    """What a verb writes on a node; load, free memory and the like change by themselves."""
    fields = ("AvailableFeatures", "ActiveFeatures", "Comment", "Extra", "Reason")
    return (*sorted(bench.lab.states("gpu1")), *(bench.field("gpu1", field) for field in fields))


@pytest.mark.parametrize("how", [*Retirement], ids=lambda how: how.value)
@pytest.mark.parametrize("action", TAKING_AWAY, ids=lambda action: type(action).__name__)
async def test_an_operation_that_began_since_the_plan_was_shown_is_a_conflict_that_names_it(
    bench: Bench, action: Action, how: Retirement
) -> None:
    if isinstance(action, PutImage | Remove):
        await bench.do("gpu1", Close(MINE, Stage.DRAINING, gate=True))
    step = await bench.planned("gpu1", action)
    await bench.do("gpu1", Close(THEIRS, Stage.RETIRING))
    found = written(bench)
    writer = bench_of(bench.lab, retirement=how).writer
    with pytest.raises(Conflict, match=NAMED):
        await writer.perform(await writer.prepare(step), bench.told.append)
    assert written(bench) == found


async def test_a_hold_that_lands_between_our_read_and_our_write_is_a_conflict_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await bench.planned("gpu1", Close(MINE, Stage.DRAINING))
    await bench.do("gpu2", Close(THEIRS, Stage.RETIRING))
    theirs = bench.field("gpu2", "Extra")
    after(monkeypatch, lambda: bench.lab.update("gpu1", f"Extra={theirs}"))
    with pytest.raises(Conflict, match=NAMED):
        await bench.writer.perform(step, bench.told.append)
    assert [held.operation for held in (await bench.facts("gpu1")).node.holds] == ["op-2"]


async def test_an_operation_that_the_plan_showed_is_no_conflict(bench: Bench) -> None:
    await bench.do("gpu1", Close(THEIRS, Stage.RETIRING))
    outcome = await bench.do("gpu1", Close(MINE, Stage.DRAINING))
    assert outcome.state is StepState.DONE


@pytest.mark.parametrize(
    "there", [replace(THEIRS, verb="cordon"), replace(THEIRS, step="3-movework")], ids=["cordon", "failed"]
)
async def test_a_hold_of_nobody_at_work_is_no_conflict(bench: Bench, there: Hold) -> None:
    step = await bench.planned("gpu1", Close(MINE, Stage.DRAINING))
    await bench.do("gpu1", Close(there))
    assert (await bench.writer.perform(step, bench.told.append)).state is StepState.DONE


@pytest.mark.parametrize("mine", [replace(MINE, verb="cordon"), replace(MINE, step="2-movework")])
async def test_a_cordon_and_the_naming_of_a_failure_are_written_beside_whoever_works_there(
    bench: Bench, mine: Hold
) -> None:
    step = await bench.planned("gpu1", Close(mine))
    await bench.do("gpu1", Close(THEIRS, Stage.RETIRING))
    assert (await bench.writer.perform(step, bench.told.append)).state is StepState.DONE


async def test_what_is_ours_comes_off_a_node_that_somebody_resumed_and_it_stays_open(bench: Bench) -> None:
    await bench.do("gpu1", Close(hold("drain"), Stage.DRAINING))
    off = Release((OPERATION,), as_it_stands=True)
    with pytest.raises(Conflict, match="closed it again"):
        await bench.do("gpu1", off)
    bench.lab.update("gpu1", "State=RESUME")
    bench.lab.node_is("gpu1", "IDLE", without=("DRAIN", "NOT_RESPONDING"))
    assert [held.operation for held in (await bench.facts("gpu1")).node.holds] == [OPERATION]
    assert (await bench.do("gpu1", off)).state is StepState.DONE
    found = (await bench.facts("gpu1")).node
    assert (found.admission, found.holds, found.stage) == (Admission.OPEN, (), Stage.IN_SERVICE)
    assert bench.note("gpu1").empty
    assert (await bench.do("gpu1", off)).state is StepState.SKIPPED
    bench.lab.update("gpu1", "State=DRAIN", "Reason=theirs")
    assert (await bench.do("gpu1", off)).state is StepState.SKIPPED, "nothing of ours is on it"
