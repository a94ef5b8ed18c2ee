"""Verbs on a real Slurm: munged, slurmctld and eight slurmd of our own, with jobs that run and nodes that boot."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.slurm.actions import SlurmWriter
from backends.slurm.commands import SlurmCommands
from backends.slurm.our_note import Note, read_note
from backends.slurm.reader import SlurmReader
from backends.slurm.retiring import Retirement
from fleet.category import SLURM_REBOOT
from fleet.errors import (
    Conflict,
    Denied,
    FleetError,
    Missing,
    OutcomeUnknown,
    Rejected,
    TimedOut,
    Unreachable,
)
from fleet.health import Acceptance, Finding, GateRecord, Repair, Verdict
from fleet.holder import Hold
from fleet.node import Admission, NodeKey, Stage
from fleet.operation import Effect, Outcome, Progress, StepState
from fleet.plan import (
    Action,
    ApplyVerdict,
    Attest,
    AwaitBoot,
    Before,
    Close,
    Create,
    DrainOptions,
    Mark,
    MoveWork,
    NodeFacts,
    PutImage,
    Release,
    Remove,
    Step,
)
from tests.contract.real_clock import RealClock
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-verbs")]

LONG = timedelta(seconds=60)
OPERATION = "op-1"
AT_NIGHT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
WORD = Acceptance("telemetry", "oncall@desk", "power event", AT_NIGHT, AT_NIGHT + timedelta(hours=4))
REPAIR = Repair("oncall@desk", "new GPU 3", AT_NIGHT, "gate d1 2026-03-01T02:00:00+00:00")


@dataclass(slots=True)
class Bench:
    """One lab with both halves of the backend on it, and what the last steps told."""

    lab: SlurmLab
    commands: SlurmCommands
    reader: SlurmReader
    writer: SlurmWriter
    clock: RealClock
    told: list[Progress] = field(default_factory=list)
    count: int = 0

    def key(self, name: str) -> NodeKey:
        return NodeKey(self.reader.source, name)

    async def facts(self, name: str) -> NodeFacts:
        return (await self.reader.read([self.key(name)]))[self.key(name)]

    def note(self, name: str) -> Note:
        return read_note(self.field(name, "Extra"), self.field(name, "Comment"))

    def field(self, name: str, field: str) -> str:
        """A field that stands at the end of the node's lines, as Slurm prints it."""
        lines = self.lab.scontrol("show", "node", name).splitlines()
        return next(
            (line.strip().partition("=")[2] for line in lines if line.strip().startswith(f"{field}=")), ""
        )

    async def planned(self, name: str, action: Action) -> Step:
        node = (await self.facts(name)).node
        self.count += 1
        before = Before(node.uid, node.boot_id, node.image.running, holds=node.holds, stage=node.stage)
        kind = type(action).__name__.lower()
        return await self.writer.prepare(
            Step(f"{self.key(name)}/{self.count}-{kind}", self.key(name), action, kind, before)
        )

    async def do(self, name: str, action: Action) -> Outcome:
        return await self.writer.perform(await self.planned(name, action), self.told.append)

    async def says(self, words: str) -> None:
        """Wait until a step under way has told `words`."""
        await self.lab.settles(
            lambda: any(words in _spoken(progress) for progress in self.told), f"told: {words}"
        )


def _spoken(progress: Progress) -> str:
    return " ".join((progress.says, *(f"{wait.what} {wait.on} {wait.owner}" for wait in progress.waiting)))


def hold(verb: str = "drain", by: str = "oncall", operation: str = OPERATION, reason: str = "dust") -> Hold:
    return Hold(by, reason, verb=verb, operation=operation, since=RealClock().now())


def record(verdict: Verdict) -> GateRecord:
    return GateRecord(verdict, (Finding("ready", verdict, "x"),), RealClock().now(), "oncall", verdict.value)


def bench_of(
    lab: SlurmLab,
    *,
    set_image: tuple[str, ...] = (),
    retirement: Retirement = Retirement.DOWN,
    patience: timedelta = timedelta(seconds=15),
    path: Path | None = None,
) -> Bench:
    """Both halves of the backend; with `path` a folder whose commands are tried before the real ones."""
    clock = RealClock()
    environ = lab.environ | ({"PATH": f"{path}:{lab.environ['PATH']}"} if path else {})
    commands = SlurmCommands(clock, environ, deadline=patience)
    reader = SlurmReader(commands, clock, source=lab.cluster)
    writer = SlurmWriter(commands, reader.seen, reader, clock, set_image=set_image, retirement=retirement)
    return Bench(lab, commands, reader, writer, clock)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 8, resume_timeout=60) as lab:
        yield lab


@pytest.fixture
def bench(shared: SlurmLab) -> Iterator[Bench]:
    """The shared cluster, put back to eight idle nodes with nothing written on them."""
    yield bench_of(shared)
    for job in shared.command("squeue", "-h", "-o", "%A").split():
        shared.command("scancel", job, check=False)
    every = ",".join(shared.nodes)
    shared.scontrol("update", f"NodeName={every}", "State=UNDRAIN", check=False)
    shared.scontrol("update", f"NodeName={every}", "State=RESUME", check=False)
    shared.update(every, "Extra=", "Comment=")
    for node in shared.nodes:
        shared.node_is(node, "IDLE", without=("DRAIN", "NOT_RESPONDING", "COMPLETING"))


async def test_cordoning_drains_with_a_name_a_reason_and_our_hold(bench: Bench) -> None:
    outcome = await bench.do("gpu1", Close(hold("cordon", reason='fan "noise", 50%')))
    assert outcome.state is StepState.DONE
    assert bench.lab.states("gpu1") == {"IDLE", "DRAIN"}
    node = (await bench.facts("gpu1")).node
    assert node.admission is Admission.CORDONED
    assert [(found.by, found.reason, found.found) for found in node.holds] == [
        ("oncall", 'fan "noise", 50%', "open")
    ]
    again = await bench.do("gpu1", Close(hold("cordon", reason='fan "noise", 50%')))
    assert again.state is StepState.SKIPPED


async def test_a_cordon_over_a_foreign_drain_keeps_their_reason_and_uncordon_leaves_it(bench: Bench) -> None:
    bench.lab.update("gpu1", "State=DRAIN", "Reason=NHC: disk full", "Extra=rack 7")
    await bench.do("gpu1", Close(hold("cordon")))
    assert bench.field("gpu1", "Reason").startswith("NHC: disk full [")
    outcome = await bench.do("gpu1", Release((OPERATION,)))
    assert "stays closed" in outcome.says
    assert bench.lab.states("gpu1") == {"IDLE", "DRAIN"}
    assert bench.field("gpu1", "Reason").startswith("NHC: disk full [")
    assert bench.field("gpu1", "Extra") == "rack 7"


async def test_taking_over_says_and_keeps_whose_reason_it_was(bench: Bench) -> None:
    bench.lab.update("gpu1", "State=DRAIN", "Reason=disk full")
    (theirs,) = (await bench.facts("gpu1")).node.holds
    outcome = await bench.do("gpu1", Release(take_over=(theirs.by,)))
    assert "disk full" in outcome.evidence
    bench.lab.node_is("gpu1", "IDLE", without=("DRAIN",))
    saved = bench.note("gpu1").saved
    assert saved is not None
    assert saved.text == "disk full"


async def test_uncordon_with_two_holds_opens_with_the_second_and_leaves_nothing(bench: Bench) -> None:
    bench.lab.update("gpu1", 'Extra={"rack": 7}')
    await bench.do("gpu1", Close(hold("cordon")))
    await bench.do("gpu1", Close(hold("cordon", "colleague", "op-2", "cable")))
    first = await bench.do("gpu1", Release((OPERATION,)))
    assert "colleague" in first.says
    assert "cable (colleague, cordon)" in bench.field("gpu1", "Reason")
    await bench.do("gpu1", Release(("op-2",)))
    bench.lab.node_is("gpu1", "IDLE", without=("DRAIN",))
    assert bench.field("gpu1", "Extra") == '{"rack":7}'
    assert (await bench.facts("gpu1")).node.admission is Admission.OPEN


async def test_many_nodes_go_out_as_one_command_and_each_is_read_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, ...]] = []
    change = SlurmCommands.change

    async def counted(self: SlurmCommands, *argv: str, **rest: Any) -> str:
        sent.append(argv)
        return await change(self, *argv, **rest)

    monkeypatch.setattr(SlurmCommands, "change", counted)
    cordon = Close(hold("cordon"))
    steps = [await bench.planned(name, cordon) for name in bench.lab.nodes]
    outcomes = await asyncio.gather(*(bench.writer.perform(step, bench.told.append) for step in steps))
    assert {outcome.state for outcome in outcomes} == {StepState.DONE}
    assert len(sent) == 1
    assert all(bench.lab.states(name) == {"IDLE", "DRAIN"} for name in bench.lab.nodes)


async def test_a_list_with_a_name_that_is_gone_changes_the_others_and_says_which(bench: Bench) -> None:
    cordon = Close(hold("cordon"))
    steps = [await bench.planned(name, cordon) for name in ("gpu1", "gpu2")]
    gone = replace(steps[0], node=bench.key("nosuch"), id="gone")
    found = await asyncio.gather(
        *(bench.writer.perform(step, bench.told.append) for step in (*steps, gone)), return_exceptions=True
    )
    assert [outcome.state for outcome in found[:2] if isinstance(outcome, Outcome)] == [StepState.DONE] * 2
    assert isinstance(found[2], Missing)
    assert found[2].about == "nosuch"


@pytest.mark.parametrize("name", ["gpu[1-8]", "gpu1,gpu2", "ALL", "", "-v"])
async def test_a_name_that_means_several_nodes_is_no_nodes_name(bench: Bench, name: str) -> None:
    step = Step("x", bench.key(name), Close(hold()), "close")
    with pytest.raises(Missing):
        await bench.writer.prepare(step)
    with pytest.raises(Missing):
        await bench.writer.perform(step, bench.told.append)
    assert all(bench.lab.states(node) == {"IDLE"} for node in bench.lab.nodes)


async def test_a_second_operator_who_opens_it_at_the_same_moment_is_detected(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await bench.planned("gpu1", Close(hold()))
    after(monkeypatch, lambda: bench.lab.update("gpu1", "State=RESUME"))
    with pytest.raises(Conflict, match="at the same time"):
        await bench.writer.perform(step, bench.told.append)


async def test_a_second_operator_who_writes_over_our_hold_is_detected_and_both_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await bench.planned("gpu1", Close(hold()))
    other = await bench.planned("gpu2", Close(hold("cordon", "colleague", "op-2")))
    await bench.writer.perform(other, bench.told.append)
    theirs = bench.field("gpu2", "Extra")
    after(monkeypatch, lambda: bench.lab.update("gpu1", f"Extra={theirs}"))
    outcome = await bench.writer.perform(step, bench.told.append)
    assert "somebody else" in outcome.says
    assert {found.by for found in (await bench.facts("gpu1")).node.holds} == {"oncall", "colleague"}


def after(monkeypatch: pytest.MonkeyPatch, meddle: Callable[[], None]) -> None:
    """Let a colleague act once, right after our first change."""
    change = SlurmCommands.change
    done: list[tuple[str, ...]] = []

    async def meddled(self: SlurmCommands, *argv: str, **rest: Any) -> str:
        out = await change(self, *argv, **rest)
        if not done:
            done.append(argv)
            await asyncio.to_thread(meddle)
        return out

    monkeypatch.setattr(SlurmCommands, "change", meddled)


# Waiting for jobs.


async def test_a_drain_waits_for_a_job_and_says_whose_it_is(bench: Bench) -> None:
    job = bench.lab.submit("gpu1", "--time=60", gpus=2)
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    moving = asyncio.create_task(bench.do("gpu1", MoveWork(DrainOptions(), LONG)))
    await bench.says("to end in its own time")
    (waiting,) = bench.told[-1].waiting
    assert re.fullmatch(rf"job {job} \((59 min|1 h 0 min) left, 2 GPUs\)", waiting.what)
    assert waiting.owner == f"user {getpass.getuser()}"
    bench.lab.cancel(job)
    assert (await moving).state is StepState.DONE
    assert bench.lab.states("gpu1") == {"IDLE", "DRAIN"}
    assert (await bench.do("gpu1", Mark(Stage.DRAINED))).state is StepState.DONE
    assert (await bench.facts("gpu1")).node.stage is Stage.DRAINED


async def test_requeueing_takes_a_job_off_to_start_anew(bench: Bench) -> None:
    job = bench.lab.submit("gpu1")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    outcome = await bench.do("gpu1", MoveWork(DrainOptions(requeue=True), LONG))
    assert outcome.state is StepState.DONE
    assert bench.lab.job_state(job) == "PENDING"


async def test_a_job_that_can_not_be_requeued_stops_it_until_it_is_given_up(bench: Bench) -> None:
    job = bench.lab.submit("gpu1", "--no-requeue")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    outcome = await bench.do("gpu1", MoveWork(DrainOptions(requeue=True), LONG))
    assert outcome.state is StepState.FAILED
    assert "lost: --force" in outcome.says
    assert bench.lab.job_state(job) == "RUNNING"
    await bench.do("gpu1", MoveWork(DrainOptions(requeue=True, force=True), LONG))
    assert bench.lab.job_state(job) in ("", "CANCELLED")


async def test_a_deadline_leaves_it_drained_with_our_reason_and_names_the_job(bench: Bench) -> None:
    job = bench.lab.submit("gpu1")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    with pytest.raises(TimedOut, match=f"left: job {job} .* of user "):
        await bench.do("gpu1", MoveWork(DrainOptions(), timedelta(seconds=1)))
    assert "DRAIN" in bench.lab.states("gpu1")
    assert bench.field("gpu1", "Reason").startswith("quarterdeck: dust")
    assert bench.lab.job_state(job) == "RUNNING"


async def test_somebody_who_opens_it_ends_the_wait(bench: Bench) -> None:
    job = bench.lab.submit("gpu1")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    moving = asyncio.create_task(bench.do("gpu1", MoveWork(DrainOptions(), LONG)))
    await bench.says("to end in its own time")
    bench.lab.update("gpu1", "State=RESUME")
    with pytest.raises(Conflict, match="opened"):
        await moving


async def test_a_controller_stopped_in_the_middle_is_waited_for_and_said(bench: Bench) -> None:
    job = bench.lab.submit("gpu1")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    moving = asyncio.create_task(bench.do("gpu1", MoveWork(DrainOptions(), timedelta(seconds=120))))
    await bench.says("to end in its own time")
    await asyncio.to_thread(bench.lab.stop_controller)
    await bench.says("trying again")
    await asyncio.to_thread(bench.lab.start_controller)
    assert "DRAIN" in bench.lab.states("gpu1")
    assert bench.note("gpu1").of(OPERATION) is not None
    bench.lab.cancel(job)
    assert (await moving).state is StepState.DONE


async def test_a_deadline_that_passes_while_the_controller_is_away_says_why(bench: Bench) -> None:
    job = bench.lab.submit("gpu1")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    step = await bench.planned("gpu1", MoveWork(DrainOptions(), timedelta(seconds=1)))
    await asyncio.to_thread(bench.lab.stop_controller)
    with pytest.raises(TimedOut, match="can't look at its jobs"):
        await bench.writer.perform(step, bench.told.append)
    await asyncio.to_thread(bench.lab.start_controller)


# What became of a change whose answer was lost.


async def test_a_change_that_the_controller_never_answered_is_unknown_until_it_is_read_back(
    bench: Bench,
) -> None:
    step = await bench.planned("gpu1", Close(hold()))
    hasty = bench_of(bench.lab, patience=timedelta(seconds=1))
    change = SlurmCommands.change

    async def hung(self: SlurmCommands, *argv: str, **rest: Any) -> str:
        bench.lab.hang_controller()
        return await change(self, *argv, **rest)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SlurmCommands, "change", hung)
            with pytest.raises(OutcomeUnknown, match="read it back"):
                await hasty.writer.perform(step, bench.told.append)
        with pytest.raises(Unreachable):
            await hasty.writer.effect_of(step)
    finally:
        bench.lab.unhang_controller()
    bench.lab.until(lambda: bool(bench.lab.states("gpu1")), "the controller answers")
    effect = await bench.writer.effect_of(step)
    closed = "DRAIN" in bench.lab.states("gpu1")
    assert effect is (Effect.TOOK if closed else Effect.NOT)


@pytest.mark.parametrize("word", ["close", "release", "mark", "verdict", "attest", "remove"])
async def test_what_became_of_a_change_is_told_from_the_node(bench: Bench, word: str) -> None:
    actions: dict[str, Action] = {
        "close": Close(hold("reimage"), Stage.REIMAGING, gate=True),
        "release": Release((OPERATION,)),
        "mark": Mark(Stage.DRAINED),
        "verdict": ApplyVerdict(record(Verdict.PASS), OPERATION, admit=True),
        "attest": Attest(WORD.since, WORD, REPAIR),
        "remove": Remove(),
    }
    if word != "close":
        await bench.do("gpu1", Close(hold(), Stage.DRAINING))
    step = await bench.planned("gpu1", actions[word])
    assert await bench.writer.effect_of(step) is Effect.NOT
    await bench.writer.perform(step, bench.told.append)
    assert await bench.writer.effect_of(step) is Effect.TOOK


async def test_a_person_without_privilege_is_denied_and_nothing_changes(bench: Bench, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody without privilege")
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("scontrol")
    (folder / "scontrol").write_text(
        f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {real} "$@"\n'
    )
    (folder / "scontrol").chmod(0o755)
    (bench.lab.folder / "munge").chmod(0o755)
    bench.lab.folder.chmod(0o755)
    step = await bench.planned("gpu1", Close(hold()))
    nobody = bench_of(bench.lab, path=folder)
    with pytest.raises(Denied, match="Invalid user id"):
        await nobody.writer.perform(step, bench.told.append)
    assert bench.lab.states("gpu1") == {"IDLE"}


def older_bench(lab: SlurmLab, folder: Path, unknown: str) -> Bench:
    """A bench whose scontrol refuses the fields of the shell pattern `unknown`, as versions do that do not know them."""
    old = folder / "scontrol"
    real = shutil.which("scontrol", path=lab.environ["PATH"])
    refuse = 'echo "Update of this parameter is not supported: $word" >&2; echo "Request aborted" >&2; exit 1'
    old.write_text(
        f'#!/bin/sh\nfor word; do case $word in {unknown}) {refuse};; esac; done\nexec {real} "$@"\n'
    )
    old.chmod(0o755)
    return bench_of(lab, path=folder)


async def test_a_slurm_that_has_neither_extra_nor_comment_is_only_looked_at(
    bench: Bench, tmp_path: Path
) -> None:
    older = older_bench(bench.lab, tmp_path, "Extra=*|Comment=*")
    for name in ("gpu1", "gpu2"):
        with pytest.raises(Rejected, match="neither Extra nor Comment") as refused:
            await older.do(name, Close(hold()))
        assert "{" not in str(refused.value)
        assert bench.lab.states(name) == {"IDLE"}


async def test_a_slurm_that_has_no_extra_keeps_our_note_in_the_comment(bench: Bench, tmp_path: Path) -> None:
    older = older_bench(bench.lab, tmp_path, "Extra=*")
    bench.lab.update("gpu1", "Comment=rack 7")
    await older.do("gpu1", Close(hold()))
    assert bench.lab.states("gpu1") == {"IDLE", "DRAIN"}
    assert [found.by for found in (await older.facts("gpu1")).node.holds] == ["oncall"]
    assert (await older.do("gpu1", Close(hold()))).state is StepState.SKIPPED
    await older.do("gpu1", Release((OPERATION,)))
    assert bench.field("gpu1", "Comment") == "rack 7"
    bench.lab.node_is("gpu1", "IDLE", without=("DRAIN",))


# Rebooting into another image.


async def closed_for_reimage(bench: Bench, name: str = "gpu1") -> None:
    await bench.do(name, Close(hold("reimage"), Stage.DRAINING))
    await bench.do(name, MoveWork(DrainOptions(), LONG))
    await bench.do(name, Close(hold("reimage"), Stage.REIMAGING, gate=True, again=True))


async def test_a_reboot_brings_the_image_behind_the_gate_and_only_a_pass_opens_it(bench: Bench) -> None:
    bench.lab.next_image("gpu1", "v2")
    await closed_for_reimage(bench)
    boot = await bench.planned("gpu1", AwaitBoot("v2", LONG))
    asked = await bench.do("gpu1", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    assert "REBOOT" in asked.says
    booted = await bench.writer.perform(boot, bench.told.append)
    assert booted.state is StepState.DONE
    assert bench.lab.states("gpu1") == {"IDLE", "DRAIN"}
    facts = await bench.facts("gpu1")
    assert (facts.node.stage, facts.node.admission, facts.node.image.running) == (
        Stage.GATED,
        Admission.GATED,
        "v2",
    )
    await bench.do("gpu1", ApplyVerdict(record(Verdict.UNKNOWN), OPERATION))
    assert "DRAIN" in bench.lab.states("gpu1")
    await bench.do("gpu1", ApplyVerdict(record(Verdict.PASS), OPERATION, admit=True))
    bench.lab.node_is("gpu1", "IDLE", without=("DRAIN",))
    facts = await bench.facts("gpu1")
    assert (facts.node.admission, facts.node.holds) == (Admission.OPEN, ())
    assert facts.node.gate is not None


async def test_a_failed_gate_after_a_boot_leaves_it_drained_with_the_reason(bench: Bench) -> None:
    await closed_for_reimage(bench)
    fail = ApplyVerdict(
        record(Verdict.FAIL), OPERATION, quarantine=True, hold=hold("gate", reason="xid FAIL (79)")
    )
    await bench.do("gpu1", fail)
    assert "DRAIN" in bench.lab.states("gpu1")
    assert "xid FAIL (79)" in bench.field("gpu1", "Reason")
    assert (await bench.facts("gpu1")).node.stage is Stage.QUARANTINED


async def test_a_colleague_who_holds_it_too_keeps_it_drained_after_a_pass(bench: Bench) -> None:
    await closed_for_reimage(bench)
    await bench.do("gpu1", Close(hold("cordon", "colleague", "op-2", "cable")))
    outcome = await bench.do("gpu1", ApplyVerdict(record(Verdict.PASS), OPERATION, admit=True))
    assert "colleague" in outcome.says
    assert "DRAIN" in bench.lab.states("gpu1")


async def test_the_sites_own_command_chooses_the_image_before_the_reboot(bench: Bench) -> None:
    choose = bench.lab.folder / "choose"
    choose.write_text(f'#!/bin/sh\necho "$2" > "{bench.lab.folder}/next/$1"\n')
    choose.chmod(0o755)
    own = bench_of(bench.lab, set_image=(str(choose), "{node}", "{image}"))
    await closed_for_reimage(own, "gpu2")
    boot = await own.planned("gpu2", AwaitBoot("v7", LONG))
    await own.do("gpu2", PutImage("v7", SLURM_REBOOT, hold("reimage")))
    await own.writer.perform(boot, own.told.append)
    assert own.lab.booted("gpu2") == "v7"


async def test_a_command_of_the_site_that_fails_reboots_nothing(bench: Bench) -> None:
    own = bench_of(bench.lab, set_image=("/bin/false", "{node}"))
    await closed_for_reimage(own)
    with pytest.raises(FleetError, match="false"):
        await own.do("gpu1", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    assert own.lab.states("gpu1") == {"IDLE", "DRAIN"}


async def test_nothing_is_rebooted_that_is_not_drained_and_ours(bench: Bench) -> None:
    put = PutImage("v2", SLURM_REBOOT, hold("reimage"))
    with pytest.raises(Conflict, match="our hold"):
        await bench.do("gpu1", put)
    job = bench.lab.submit("gpu1")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold("reimage")))
    with pytest.raises(Conflict, match="work is on it"):
        await bench.do("gpu1", put)
    with pytest.raises(Rejected, match="recreate"):
        await bench.do("gpu1", replace(put, imager="recreate"))


async def test_a_reboot_is_told_from_what_the_node_shows_however_its_answer_was_lost(bench: Bench) -> None:
    bench.lab.hold_boot("gpu3")
    await closed_for_reimage(bench, "gpu3")
    step = await bench.planned("gpu3", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    assert await bench.writer.effect_of(step) is Effect.NOT
    await bench.writer.perform(step, bench.told.append)
    assert await bench.writer.effect_of(step) is Effect.TOOK
    again = await bench.writer.perform(step, bench.told.append)
    assert again.state is StepState.SKIPPED
    bench.lab.let_boot("gpu3")
    bench.lab.node_is("gpu3", "IDLE", "DRAIN", without=("REBOOT_ISSUED", "REBOOT_REQUESTED"))
    assert await bench.writer.effect_of(step) is Effect.TOOK
    again = await bench.writer.perform(step, bench.told.append)
    assert again.state is StepState.SKIPPED
    assert bench.lab.states("gpu3") == {"IDLE", "DRAIN"}


async def test_a_reimage_after_one_that_failed_its_gate_reboots_into_the_same_image_once_more(
    bench: Bench,
) -> None:
    await closed_for_reimage(bench)
    boot = await bench.planned("gpu1", AwaitBoot("v2", LONG))
    await bench.do("gpu1", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    await bench.writer.perform(boot, bench.told.append)
    fail = ApplyVerdict(record(Verdict.FAIL), OPERATION, quarantine=True, hold=hold("gate"))
    await bench.do("gpu1", fail)
    second = hold("reimage", operation="op-2")
    await bench.do("gpu1", Close(second, Stage.REIMAGING, gate=True))
    put = await bench.planned("gpu1", PutImage("v2", SLURM_REBOOT, second))
    assert await bench.writer.effect_of(put) is Effect.NOT
    asked = await bench.writer.perform(put, bench.told.append)
    assert asked.says.startswith("reboot asked for")
    assert await bench.writer.effect_of(put) is Effect.TOOK
    bench.lab.node_is("gpu1", "IDLE", "DRAIN", without=("REBOOT_ISSUED", "REBOOT_REQUESTED"))


async def test_nothing_opens_a_node_in_the_middle_of_its_reboot(bench: Bench) -> None:
    bench.lab.hold_boot("gpu3")
    await closed_for_reimage(bench, "gpu3")
    await bench.do("gpu3", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    with pytest.raises(Conflict, match="reboot is under way"):
        await bench.do("gpu3", Release((OPERATION,), open_gate=True))
    bench.lab.let_boot("gpu3")
    bench.lab.node_is("gpu3", "IDLE", "DRAIN", without=("REBOOT_ISSUED", "REBOOT_REQUESTED"))


async def test_a_reboot_that_was_called_off_is_said_and_left_closed(bench: Bench) -> None:
    await closed_for_reimage(bench, "gpu4")
    with pytest.raises(Conflict, match="lost or called off"):
        await bench.do("gpu4", AwaitBoot("v2", LONG))
    assert "DRAIN" in bench.lab.states("gpu4")


# Retiring, and what Slurm has no verb for.


async def test_retiring_is_down_only_once_it_is_empty_and_says_what_slurm_conf_holds(bench: Bench) -> None:
    job = bench.lab.submit("gpu1")
    bench.lab.until(lambda: bench.lab.job_state(job) == "RUNNING", "the job runs")
    await bench.do("gpu1", Close(hold("retire"), Stage.RETIRING))
    with pytest.raises(Conflict, match="work is on it"):
        await bench.do("gpu1", Remove())
    assert bench.lab.job_state(job) == "RUNNING"
    bench.lab.cancel(job)
    bench.lab.node_is("gpu1", "IDLE", "DRAIN")
    outcome = await bench.do("gpu1", Remove())
    assert "slurm.conf" in outcome.says
    assert {"DOWN", "DRAIN"} <= bench.lab.states("gpu1")


async def test_a_node_is_not_made(bench: Bench) -> None:
    step = Step("x", bench.key("gpu99"), Create("h100", "v1", hold("provision")), "make")
    with pytest.raises(Rejected, match=r"slurm\.conf"):
        await bench.writer.prepare(step)


# What takes a cluster of its own: daemons that die, reboots that time out, nodes that are deleted.


async def test_a_reboot_that_slurm_gives_up_is_told_apart_and_closed_again(tmp_path: Path) -> None:
    with slurm_lab(tmp_path, 2, resume_timeout=5) as lab:
        bench = bench_of(lab)
        lab.hold_boot("gpu1")
        await closed_for_reimage(bench)
        boot = await bench.planned("gpu1", AwaitBoot("v2", timedelta(seconds=90)))
        await bench.do("gpu1", PutImage("v2", SLURM_REBOOT, hold("reimage")))
        with pytest.raises(TimedOut, match="gave its reboot up"):
            await bench.writer.perform(boot, bench.told.append)
        assert {"DOWN", "DRAIN"} <= lab.states("gpu1")
        lab.let_boot("gpu1")
        lab.until(lambda: lab.booted("gpu1") != "", "it comes back late")
        lab.node_is("gpu1", "DOWN", "DRAIN", without=("NOT_RESPONDING",))
        late = await bench.writer.perform(boot, bench.told.append)
        assert late.state is StepState.DONE
        assert {"DOWN", "DRAIN"} <= lab.states("gpu1")
        await bench.do("gpu1", ApplyVerdict(record(Verdict.PASS), OPERATION, admit=True))
        lab.node_is("gpu1", "IDLE", without=("DRAIN", "DOWN"))


async def test_a_slurmd_that_dies_during_a_wait_is_seen_and_uncordon_leaves_it_down(tmp_path: Path) -> None:
    with slurm_lab(tmp_path, 2, slurmd_timeout=2) as lab:
        bench = bench_of(lab)
        await bench.do("gpu1", Close(hold()))
        await asyncio.to_thread(lab.stop_slurmd, "gpu1")
        await lab.settles(lambda: lab.states("gpu1") >= {"DOWN", "DRAIN"}, "it is down")
        outcome = await bench.do("gpu1", Release((OPERATION,)))
        assert "DOWN" in outcome.says
        assert "DRAIN" not in lab.states("gpu1")
        lab.start_slurmd("gpu1")
        lab.node_is("gpu1", "IDLE", without=("DRAIN", "NOT_RESPONDING"))


async def test_retiring_may_delete_and_says_that_a_restart_brings_it_back(tmp_path: Path) -> None:
    with slurm_lab(tmp_path, 2) as lab:
        bench = bench_of(lab, retirement=Retirement.DELETE)
        await bench.do("gpu2", Close(hold("retire"), Stage.RETIRING))
        step = await bench.planned("gpu2", Remove())
        outcome = await bench.writer.perform(step, bench.told.append)
        assert "next restart" in outcome.says
        assert await bench.writer.effect_of(step) is Effect.TOOK
        assert lab.states("gpu2") == frozenset()
        assert (await bench.writer.perform(step, bench.told.append)).state is StepState.SKIPPED
