"""Jobs of every kind on a real Slurm: none is missed that is on a node, and what a drain says of each comes true."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.node import Stage
from fleet.operation import StepState
from fleet.plan import Close, DrainOptions, MoveWork, Release
from fleet.verbs.drain import describe_job
from fleet.workload import Placement
from tests.contract.test_slurm_verbs import LONG, OPERATION, Bench, bench_of, hold
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm")]

REQUEUED = MoveWork(DrainOptions(requeue=True), LONG)
_BATCH = ("sbatch", "--parsable", "-o", "/dev/null", "-e", "/dev/null")
_EPILOG = '#!/bin/sh\nwhile [ -e "{folder}/held" ]; do sleep 0.05; done\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the epilog is; a file `held` there keeps jobs from ending."""
    folder = tmp_path_factory.mktemp("epilog")
    (folder / "epilog").write_text(_EPILOG.format(folder=folder))
    (folder / "epilog").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 2, extra=f"Epilog={folder}/epilog") as lab:
        yield lab


@pytest.fixture
def bench(shared: SlurmLab) -> Iterator[Bench]:
    """Two nodes, put back to idle with no job and nothing written on them."""
    yield bench_of(shared)
    for job in shared.command("squeue", "-h", "-o", "%A").split():
        shared.command("scancel", job, check=False)
    every = ",".join(shared.nodes)
    shared.scontrol("update", f"NodeName={every}", "State=UNDRAIN", check=False)
    shared.scontrol("update", f"NodeName={every}", "State=RESUME", check=False)
    shared.update(every, "Extra=", "Comment=")
    for node in shared.nodes:
        shared.node_is(node, "IDLE", without=("DRAIN", "NOT_RESPONDING", "COMPLETING"))


def running(lab: SlurmLab, job: str, *, parts: int = 1) -> str:
    """The job, once so many parts of it run."""
    ids = ("squeue", "-h", "-r", "-t", "running", "-j", job, "-o", "%i")
    lab.until(lambda: len(lab.command(*ids, check=False).split()) == parts, f"{parts} of job {job} run")
    return job


async def on(bench: Bench, node: str) -> list[Placement]:
    return sorted((await bench.facts(node)).placements, key=lambda job: job.name)


async def test_a_job_array_is_its_tasks_and_each_is_requeued(bench: Bench) -> None:
    lab = bench.lab
    asked = ("-w", "gpu1", "--gres=gpu:2", "--array=1-5", "--wrap=sleep 600")
    job = running(lab, lab.command(*_BATCH, *asked).strip(), parts=4)
    assert [(task.name, task.gpus) for task in await on(bench, "gpu1")] == [
        (f"{job}_{task}", 2) for task in (1, 2, 3, 4)
    ]
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    assert (await bench.do("gpu1", REQUEUED)).says == "4 jobs gone"
    assert lab.states("gpu1") == {"IDLE", "DRAIN"}
    assert set(lab.command("squeue", "-h", "-r", "-j", job, "-o", "%T").split()) == {"PENDING"}


async def test_a_heterogeneous_job_is_one_workload_and_goes_as_one(bench: Bench) -> None:
    lab = bench.lab
    asked = ("-w", "gpu1", "--gres=gpu:2", ":", "-w", "gpu2", "--gres=gpu:1", "--wrap=sleep 600")
    job = running(lab, lab.command(*_BATCH, *asked).strip(), parts=2)
    (leader,), (part,) = await on(bench, "gpu1"), await on(bench, "gpu2")
    assert (leader.name, part.name, leader.gpus, part.gpus) == (f"{job}+0", f"{job}+1", 2, 1)
    assert leader.workload == part.workload
    await bench.do("gpu2", Close(hold(), Stage.DRAINING))
    await bench.do("gpu2", REQUEUED)
    lab.until(lambda: set(lab.job_state(job).split()) == {"PENDING"}, "both parts wait")
    assert await on(bench, "gpu1") == []


async def test_a_job_that_has_the_node_to_itself_has_all_its_gpus(bench: Bench) -> None:
    running(bench.lab, bench.lab.command(*_BATCH, "-w", "gpu1", "--exclusive", "--wrap=sleep 600").strip())
    assert [job.gpus for job in await on(bench, "gpu1")] == [8]


async def test_a_suspended_job_is_waited_for_as_one_and_requeued_it_is_said_to_be_held(bench: Bench) -> None:
    lab = bench.lab
    job = running(lab, lab.submit("gpu1"))
    lab.scontrol("suspend", job)
    (suspended,) = await on(bench, "gpu1")
    assert describe_job(suspended).endswith("1 GPUs, suspended)")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    waiting = asyncio.ensure_future(bench.do("gpu1", MoveWork(DrainOptions(), LONG)))
    await bench.says("to be resumed and to end")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert lab.job_state(job) == "SUSPENDED"
    await bench.do("gpu1", REQUEUED)
    await bench.says(f"Slurm holds it: scontrol release {job}")
    assert lab.command("squeue", "-h", "-j", job, "-o", "%r").strip() == "JobHeldAdmin"


async def test_a_job_that_was_stopped_by_a_signal_is_on_its_node_still(bench: Bench) -> None:
    lab = bench.lab
    job = running(lab, lab.submit("gpu1"))
    lab.command("scancel", "--signal=STOP", job)
    lab.until(
        lambda: lab.command("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip() == "STOPPED", "stops"
    )
    (stopped,) = await on(bench, "gpu1")
    assert (stopped.name, stopped.gpus) == (job, 1)
    assert describe_job(stopped).endswith("1 GPUs, stopped)")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    assert (await bench.do("gpu1", REQUEUED)).says == "1 job gone"
    lab.until(lambda: lab.job_state(job) == "PENDING", "it waits to start anew")


async def test_a_drain_waits_for_a_job_whose_epilog_still_runs(bench: Bench, folder: Path) -> None:
    lab = bench.lab
    (folder / "held").touch()
    job = running(lab, lab.submit("gpu1"))
    lab.cancel(job)
    lab.node_is("gpu1", "COMPLETING")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    node = (await bench.facts("gpu1")).node
    assert node.stage is Stage.DRAINING
    drain = asyncio.ensure_future(bench.do("gpu1", MoveWork(DrainOptions(), LONG)))
    await bench.says("to end")
    (folder / "held").unlink()
    assert (await drain).state is StepState.DONE
    assert "COMPLETING" not in lab.states("gpu1")


async def test_a_requeued_job_does_not_land_on_the_drained_node_again(bench: Bench) -> None:
    lab = bench.lab
    job = running(lab, lab.command(*_BATCH, "--gres=gpu:8", "--wrap=sleep 600").strip())
    node = lab.command("squeue", "-h", "-j", job, "-o", "%N").strip()
    other = next(name for name in lab.nodes if name != node)
    await bench.do(node, Close(hold(), Stage.DRAINING))
    await bench.do(node, REQUEUED)
    lab.scontrol("update", f"JobId={job}", "StartTime=now")
    lab.until(
        lambda: lab.command("squeue", "-h", "-j", job, "-o", "%N").strip() == other, "it runs elsewhere"
    )
    assert await on(bench, node) == []


@pytest.mark.parametrize("flags", ["", "MAINT"])
async def test_a_node_in_somebodys_reservation_is_drained_opened_and_left_in_it(
    bench: Bench, flags: str
) -> None:
    lab = bench.lab
    asked = ("ReservationName=theirs", "Nodes=gpu1", "StartTime=now", "Duration=60", "Users=root")
    lab.scontrol("create", "reservation", *asked, *([f"Flags={flags}"] if flags else []))
    try:
        lab.node_is("gpu1", *(["MAINTENANCE"] if flags else []), "RESERVED")
        node = (await bench.facts("gpu1")).node
        assert [held.by for held in node.holds] == (["reservation"] if flags else [])
        await bench.do("gpu1", Close(hold(), Stage.DRAINING))
        assert (await bench.do("gpu1", REQUEUED)).state is StepState.SKIPPED
        assert (await bench.do("gpu1", Release((OPERATION,)))).says == "opened"
        lab.node_is("gpu1", "RESERVED", without=("DRAIN",))
    finally:
        lab.scontrol("delete", "ReservationName=theirs")
