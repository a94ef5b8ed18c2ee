"""A real slurmctld at its worst: texts that imitate, answers that break off, nodes that go, a colleague's Reason of any length."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fleet.category import SLURM_REBOOT
from fleet.errors import Conflict, Garbled, Missing, OutcomeUnknown, Unreachable
from fleet.health import Verdict
from fleet.node import Admission, Stage
from fleet.operation import Effect, StepState
from fleet.plan import (
    Action,
    ApplyVerdict,
    AwaitBoot,
    Close,
    DrainOptions,
    Ground,
    Mark,
    MoveWork,
    PutImage,
    Release,
    Remove,
    Request,
    Verb,
)
from fleet.planning import plan
from fleet.policy import Policy
from tests.contract.test_slurm_verbs import (
    LONG,
    OPERATION,
    Bench,
    bench_of,
    closed_for_reimage,
    hold,
    record,
)
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-trouble")]

LIES = "\x1b[2J\x1b]0;own\x07 State=IDLE Reason=none [root@2020-01-01T00:00:00] Comment={} Extra={} "
"""A Reason that clears a screen and imitates every field behind it."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 4) as lab:
        yield lab


@pytest.fixture
def bench(shared: SlurmLab) -> Iterator[Bench]:
    """Four nodes, put back to idle with nothing written on them."""
    yield bench_of(shared)
    every = ",".join(shared.nodes)
    shared.scontrol("update", f"NodeName={every}", "State=UNDRAIN", check=False)
    shared.scontrol("update", f"NodeName={every}", "State=RESUME", check=False)
    shared.scontrol("update", f"NodeName={every}", "Extra=", "Comment=", check=False)
    for node in shared.nodes:
        shared.node_is(node, "IDLE", without=("DRAIN", "NOT_RESPONDING", "COMPLETING"))


def broken(lab: SlurmLab, folder: Path, how: str) -> Bench:
    """A bench whose scontrol answers through `how`, a shell line over what the real one prints."""
    script = folder / "scontrol"
    real = shutil.which("scontrol", path=lab.environ["PATH"])
    script.write_text(f'#!/bin/sh\ncase "$1" in show) {real} "$@" {how};; *) exec {real} "$@";; esac\n')
    script.chmod(0o755)
    return bench_of(lab, path=folder, patience=timedelta(seconds=2))


async def test_a_reason_of_forty_thousand_characters_that_lies_is_read_held_and_given_again(
    bench: Bench,
) -> None:
    reason = LIES + "x" * 40_000
    bench.lab.update("gpu1", "State=DOWN", f"Reason={reason}")
    node = (await bench.facts("gpu1")).node
    assert node.admission is Admission.CORDONED
    (theirs,) = node.holds
    assert "\x1b" not in theirs.reason
    assert len(theirs.reason) <= 1000
    await bench.do("gpu1", Close(hold("cordon")))
    assert {"DOWN", "DRAIN"} <= bench.lab.states("gpu1")
    (seen,) = (await bench.reader.seen(["gpu1"])).values()
    assert seen.reason.endswith("Extra={} " + "x" * 40_000), "not a letter of theirs is lost"
    outcome = await bench.do("gpu1", Release((OPERATION,)))
    assert "stays DOWN" in outcome.says or "stays closed" in outcome.says
    assert (await bench.facts("gpu2")).node.admission is Admission.OPEN


async def test_an_answer_that_breaks_off_is_garbled_and_no_node_is_missed_for_it(
    bench: Bench, tmp_path: Path
) -> None:
    short = broken(bench.lab, tmp_path, "| head -c 900")
    with pytest.raises(Garbled, match="broke off"):
        await short.reader.read([short.key(name) for name in bench.lab.nodes])
    step = await bench.planned("gpu1", Close(hold()))
    worse = broken(bench.lab, tmp_path, "| head -c 300")
    with pytest.raises(Garbled):
        await worse.writer.perform(step, bench.told.append)
    assert bench.lab.states("gpu1") == {"IDLE"}


async def test_a_scontrol_that_hangs_is_given_up_at_our_deadline_and_changes_are_read_back(
    bench: Bench, tmp_path: Path
) -> None:
    hung = broken(bench.lab, tmp_path, "; sleep 60")
    with pytest.raises(Unreachable, match="no answer in 2 s"):
        await hung.facts("gpu1")
    step = await bench.planned("gpu1", Close(hold()))
    with pytest.raises((Unreachable, OutcomeUnknown)):
        await hung.writer.perform(step, bench.told.append)
    closed = "DRAIN" in bench.lab.states("gpu1")
    assert await bench.writer.effect_of(step) is (Effect.TOOK if closed else Effect.NOT)


@pytest.mark.parametrize("word", ["move", "boot", "put", "mark", "release"])
async def test_a_node_that_is_deleted_under_a_step_is_said_to_be_gone(tmp_path: Path, word: str) -> None:
    with slurm_lab(tmp_path, 2) as lab:
        bench = bench_of(lab)
        await closed_for_reimage(bench, "gpu2")
        actions: dict[str, Action] = {
            "move": MoveWork(DrainOptions(), LONG),
            "boot": AwaitBoot("v2", LONG),
            "put": PutImage("v2", SLURM_REBOOT, hold("reimage")),
            "mark": Mark(Stage.DRAINED),
            "release": Release((OPERATION,)),
        }
        step = await bench.planned("gpu2", actions[word])
        lab.scontrol("delete", "NodeName=gpu2")
        with pytest.raises(Missing, match="gpu2"):
            await bench.writer.perform(step, bench.told.append)
        gone = await bench.planned("gpu1", Remove())
        assert gone.node.name == "gpu1"


async def test_no_resume_is_sent_while_a_reboot_is_under_way_whoever_asks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.lab.hold_boot("gpu3")
    await closed_for_reimage(bench, "gpu3")
    await bench.do("gpu3", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    sent: list[str] = []
    change = type(bench.commands).change

    async def heard(self: object, *argv: str, **rest: object) -> str:
        sent.append(" ".join(argv))
        return await change(bench.commands, *argv, about="gpu3")

    monkeypatch.setattr(type(bench.commands), "change", heard)
    for action in (
        Release((OPERATION,), open_gate=True),
        Release(take_over=("oncall",), open_gate=True),
        ApplyVerdict(record(Verdict.PASS), OPERATION, admit=True),
    ):
        with pytest.raises(Conflict, match="reboot is under way"):
            await bench.do("gpu3", action)
    assert not [argv for argv in sent if "RESUME" in argv]
    monkeypatch.undo()
    bench.lab.let_boot("gpu3")
    bench.lab.node_is("gpu3", "IDLE", "DRAIN", without=("REBOOT_ISSUED", "REBOOT_REQUESTED"))


@pytest.mark.parametrize("how", ["ASAP", "nextstate=RESUME", "nextstate=DOWN"])
async def test_no_hold_is_built_on_a_reboot_at_whose_end_slurm_takes_drain_away(
    bench: Bench, how: str
) -> None:
    lab = bench.lab
    lab.hold_boot("gpu1")
    lab.update("gpu1", "State=DRAIN", "Reason=theirs")
    lab.scontrol("reboot", how, "gpu1")
    lab.node_is("gpu1", "REBOOT_ISSUED")
    assert (await bench.facts("gpu1")).node.upgrade.endswith(f", then {how[10:] or 'RESUME'}")
    for verb in ("cordon", "drain"):
        with pytest.raises(Conflict, match="at its end Slurm"):
            await bench.do("gpu1", Close(hold(verb)))
    assert "quarterdeck" not in lab.line("gpu1")
    lab.let_boot("gpu1")
    lab.until(lambda: lab.booted("gpu1") != "", "it boots")
    lab.node_is("gpu1", *(["DOWN"] if how.endswith("DOWN") else ["IDLE"]), without=("DRAIN", "REBOOT_ISSUED"))


async def test_a_plan_names_a_colleagues_reboot_that_waits_for_a_job(bench: Bench) -> None:
    lab = bench.lab
    job = lab.submit("gpu2")
    lab.until(lambda: lab.job_state(job) == "RUNNING", "it runs")
    lab.scontrol("reboot", "ASAP", "reason=driver", "gpu2")
    facts = await bench.facts("gpu2")
    assert facts.no_close is not None
    assert "REBOOT_REQUESTED), at its end Slurm sets it to RESUME" in facts.no_close.says
    for verb in (Verb.CORDON, Verb.DRAIN, Verb.RETIRE):
        request = Request(verb, (facts.node.key,), "oncall", "dust", OPERATION)
        found = plan(request, Ground({facts.node.key: facts}), Policy(), bench.clock.now())
        assert facts.no_close in found.all_blockers
    lab.scontrol("cancel_reboot", "gpu2")
    assert (await bench.facts("gpu2")).no_close is None
    lab.cancel(job)


async def test_a_controller_that_restarts_between_every_two_steps_loses_nothing(tmp_path: Path) -> None:
    with slurm_lab(tmp_path, 2) as lab:
        bench = bench_of(lab)
        for action in (Close(hold(), Stage.DRAINING), MoveWork(DrainOptions(), LONG), Mark(Stage.DRAINED)):
            outcome = await bench.do("gpu1", action)
            assert outcome.state in (StepState.DONE, StepState.SKIPPED)
            await asyncio.to_thread(lab.stop_controller)
            await asyncio.to_thread(lab.start_controller)
        node = (await bench.facts("gpu1")).node
        assert (node.stage, node.operation) == (Stage.DRAINED, OPERATION)
