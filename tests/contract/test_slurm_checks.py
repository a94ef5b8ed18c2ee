"""Active checks on a real slurmctld: run on a drained node inside a reservation of our own, which is left as it was found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from backends.diagnostics.runner import DiagnosticsRunner
from backends.slurm.check_reservations import PREFIX, leftovers
from backends.slurm.check_runs import SrunRunner
from backends.slurm.commands import SlurmCommands
from backends.slurm.reader import SlurmReader
from fleet.diagnosis import Diagnose, Diagnosed
from fleet.errors import Unreachable
from fleet.health import Verdict
from fleet.node import Admission, NodeKey
from fleet.operation import Progress
from fleet.plan import Step
from tests.contract.real_clock import RealClock
from tests.fakes import pod
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-checks")]

REASON = "quarterdeck: new (oncall, gate)"
REPORT = """#!/bin/sh
echo "dcgmi for $CUDA_VISIBLE_DEVICES" >&2
printf '{"DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": [{"name": "memory", "results": ['
for gpu in 0 1 2 3 4 5 6 7; do
  status=Pass; [ "$gpu" = "$(cat SICK)" ] && status=Fail
  [ $gpu = 0 ] || printf ','
  printf '{"entity_group": "GPU", "entity_id": %s, "status": "%s"}' $gpu $status
done
echo ']}]}]}}'
[ ! -s SICK ]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 2) as lab:
        yield lab


@dataclass
class Floor:
    """One node of a lab, drained by us, and what runs checks there."""

    lab: SlurmLab
    folder: Path
    told: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = RealClock()
        self.commands = SlurmCommands(clock, self.lab.environ, deadline=timedelta(seconds=15))
        self.reader = SlurmReader(self.commands, clock, source=self.lab.cluster)
        self.runner = DiagnosticsRunner(SrunRunner(self.commands, self.reader.seen, clock, "root"), clock)

    @property
    def key(self) -> NodeKey:
        return NodeKey(self.lab.cluster, "gpu1")

    def step(self, check: str, *command: str, operation: str = "op-1", by: str = "oncall@desk") -> Step:
        action = Diagnose(check, operation, by, command, gpus=8, starts_in=timedelta(seconds=20))
        return Step("lab/gpu1/1-diagnose", self.key, action, "run it")

    async def run(self, step: Step) -> Diagnosed:
        facts = (await self.reader.read([self.key]))[self.key]
        return await self.runner.run(step, facts, self.told.append)

    def dcgmi(self, sick: str = "") -> str:
        """A stand-in for dcgmi, which fails the GPU named."""
        (self.folder / "sick").write_text(sick)
        command = self.folder / "dcgmi"
        command.write_text(REPORT.replace("SICK", str(self.folder / "sick")))
        command.chmod(0o755)
        return str(command)

    def cut_off(self, operation: str = "op-1", *more: str) -> None:
        """Leave the node as a kill -9 in the middle of a check does: reserved, undrained."""
        signed = (f"BurstBuffer=quarterdeck:{operation}/oncall@desk",) if operation else ()
        self.lab.scontrol(
            *(
                "create",
                "reservation",
                f"ReservationName={PREFIX}gpu1",
                "StartTime=now",
                "Duration=UNLIMITED",
            ),
            *("Users=root", "Flags=MAINT,IGNORE_JOBS", "Nodes=gpu1", *signed),
        )
        self.lab.node_is("gpu1", "MAINTENANCE")
        self.lab.update("gpu1", "State=UNDRAIN")
        self.lab.node_is("gpu1", "IDLE", without=("NOT_RESPONDING", "DRAIN"))

    def reservation(self) -> str:
        """The check's reservation as Slurm shows it; empty where there is none."""
        return self.lab.command("scontrol", "show", "reservation", f"{PREFIX}gpu1", "-o", check=False).strip()

    async def is_left_alone(self) -> None:
        await self.lab.settles(self.is_as_it_was, "it is as it was found", patience=10)

    def is_as_it_was(self) -> bool:
        reserved = self.lab.command("scontrol", "show", "reservation", "-o", check=False)
        drained = self.lab.states("gpu1") == {"IDLE", "DRAIN"}
        return drained and PREFIX not in reserved and f"Reason={REASON} [" in self.lab.line("gpu1")


@pytest.fixture
def floor(lab: SlurmLab, tmp_path: Path) -> Iterator[Floor]:
    tmp_path.chmod(0o755)
    lab.update("gpu1", "State=DRAIN", f"Reason={REASON}")
    yield Floor(lab, tmp_path)
    for job in lab.command("squeue", "-h", "-o", "%A").split():
        lab.command("scancel", job, check=False)
    lab.scontrol("delete", f"ReservationName={PREFIX}gpu1", check=False)
    lab.update("gpu1", "Extra=")
    lab.scontrol("update", "NodeName=gpu1", "State=UNDRAIN", check=False)
    lab.node_is("gpu1", "IDLE", without=("DRAIN", "NOT_RESPONDING", "COMPLETING", "MAINT"))


async def test_a_diagnostic_passes_on_every_gpu_and_leaves_the_node_as_it_was(floor: Floor) -> None:
    diagnosed = await floor.run(floor.step("dcgm-diag", floor.dcgmi(), "diag", "-r", "2", "-j"))
    assert (diagnosed.finding.verdict, diagnosed.finding.value) == (Verdict.PASS, "1 test passed")
    assert f"reservation {PREFIX}gpu1" in diagnosed.finding.source
    await floor.is_left_alone()


async def test_nothing_of_the_operators_environment_reaches_what_runs_on_the_node(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(floor.lab.environ, "OPERATOR_TOKEN", "hush")
    told = await Floor(floor.lab, floor.folder).run(
        floor.step("site.shows", "/usr/bin/printenv", "PATH", "OPERATOR_TOKEN")
    )
    assert "/bin" in "\n".join(told.tail)
    assert "hush" not in "\n".join(told.tail)


async def test_a_failing_gpu_is_named(floor: Floor) -> None:
    diagnosed = await floor.run(floor.step("dcgm-diag", floor.dcgmi("3"), "diag", "-r", "2", "-j"))
    assert (diagnosed.finding.verdict, diagnosed.finding.value) == (Verdict.FAIL, "memory: Fail on GPU 3")
    await floor.is_left_alone()


@pytest.mark.parametrize(
    ("command", "verdict", "says"),
    [
        (("/bin/sh", "-c", "echo link 3 is down; exit 1"), Verdict.FAIL, "link 3 is down"),
        (("/bin/sh", "-c", "echo odd; exit 7"), Verdict.UNKNOWN, "odd (exit 7)"),
        (("/no/such/command",), Verdict.UNKNOWN, "exit 2"),
    ],
)
async def test_a_sites_command_is_judged_by_its_own_exit(
    floor: Floor, command: tuple[str, ...], verdict: Verdict, says: str
) -> None:
    diagnosed = await floor.run(floor.step("site.links", *command))
    assert (diagnosed.finding.verdict, diagnosed.finding.value) == (verdict, says)
    await floor.is_left_alone()


async def test_what_slurm_does_not_start_is_unknown_and_never_a_failure(floor: Floor) -> None:
    step = floor.step("site.links", "/bin/true")
    assert isinstance(step.action, Diagnose)
    facts = (await floor.reader.read([floor.key]))[floor.key]
    object.__setattr__(step.action, "gpus", 9)
    diagnosed = await floor.runner.run(step, facts, floor.told.append)
    assert diagnosed.finding.verdict is Verdict.UNKNOWN
    assert diagnosed.finding.value.startswith("Slurm did not run it: Unable to allocate resources")
    await floor.is_left_alone()


async def test_while_it_runs_nobody_elses_job_lands_and_it_is_shown_as_closed(floor: Floor) -> None:
    running = asyncio.ensure_future(floor.run(floor.step("site.wait", "/bin/sleep", "60")))
    await floor.lab.settles(lambda: "ALLOCATED" in floor.lab.states("gpu1"), "the check runs")
    job = floor.lab.submit("gpu1")
    node = (await floor.reader.read([floor.key]))[floor.key].node
    assert node.admission is not Admission.OPEN
    assert floor.lab.job_state(job) == "PENDING"
    assert "BurstBuffer=quarterdeck:op-1/oncall@desk" in floor.reservation()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await floor.is_left_alone()
    assert floor.lab.job_state(job) == "PENDING"


async def test_a_run_that_was_killed_is_ended_and_its_node_drained_again(floor: Floor) -> None:
    floor.cut_off()
    job = floor.lab.submit("gpu1", f"--reservation={PREFIX}gpu1")
    floor.lab.until(lambda: floor.lab.job_state(job) == "RUNNING", "what it started runs")
    node = (await floor.reader.read([floor.key]))[floor.key].node
    assert node.admission is not Admission.OPEN
    (remark,) = await leftovers(floor.commands, "lab")
    assert "keeps it closed for a check of operation op-1 by oncall@desk since" in remark.says
    assert remark.mend.startswith("resume op-1; else scontrol update NodeName=gpu1 State=DRAIN")
    await floor.runner.clean_up(floor.step("site.wait", "/bin/true"))
    assert floor.lab.states("gpu1") == {"IDLE", "DRAIN"}
    assert floor.lab.job_state(job) in ("", "CANCELLED")
    assert list(await leftovers(floor.commands, "lab")) == []


async def test_a_hold_that_was_lifted_meanwhile_leaves_it_drained_saying_how_to_go_on(floor: Floor) -> None:
    floor.cut_off()
    await floor.runner.clean_up(floor.step("site.wait", "/bin/true"))
    (hold,) = (await floor.reader.read([floor.key]))[floor.key].node.holds
    told = "closed before a check of op-1, and nobody's hold is left on it: gate or uncordon it"
    assert (hold.by, hold.reason) == ("oncall@desk", told)
    assert f"Reason=quarterdeck: {told} (oncall@desk, gate) [" in floor.lab.line("gpu1")


async def test_one_that_was_cut_off_is_not_run_again_over_a_pod_that_holds_gpus_by_now(floor: Floor) -> None:
    """Of a machine of two sources, Kubernetes' side may have got work meanwhile."""
    floor.cut_off()
    facts = (await floor.reader.read([floor.key]))[floor.key]
    facts = replace(facts, placements=(*facts.placements, pod("web-1", gpus=1)))
    diagnosed = await floor.runner.run(floor.step("site.links", "/bin/true"), facts, floor.told.append)
    assert (diagnosed.finding.verdict, diagnosed.finding.value) == (
        Verdict.UNKNOWN,
        "work is on it: web-1",
    )


async def test_it_may_take_all_of_its_deadline(floor: Floor) -> None:
    """Slurm knows whole minutes alone."""
    step = floor.step("site.wait", "/bin/sleep", "60")
    assert isinstance(step.action, Diagnose)
    step = replace(step, action=replace(step.action, deadline=timedelta(seconds=150)))
    running = asyncio.ensure_future(floor.run(step))
    await floor.lab.settles(lambda: "ALLOCATED" in floor.lab.states("gpu1"), "the check runs")
    assert floor.lab.command("squeue", "-h", "-o", "%l").split() == ["3:00"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("operation", ["op-2", ""])
async def test_what_another_operation_reserved_is_neither_used_nor_taken_away(
    floor: Floor, operation: str
) -> None:
    floor.cut_off(operation)
    job = floor.lab.submit("gpu1", f"--reservation={PREFIX}gpu1")
    floor.lab.until(lambda: floor.lab.job_state(job) == "RUNNING", "the other's check runs")
    before = floor.reservation()
    told = await floor.run(floor.step("site.wait", "/bin/true"))
    whose = "operation op-2 by oncall@desk" if operation else "somebody who did not sign it"
    assert (told.finding.verdict, told.finding.value) == (
        Verdict.UNKNOWN,
        f"it is reserved for a check of {whose}",
    )
    await floor.runner.clean_up(floor.step("site.wait", "/bin/true"))
    assert (floor.reservation(), floor.lab.job_state(job)) == (before, "RUNNING")
    assert "DRAIN" not in floor.lab.states("gpu1")
    (remark,) = await leftovers(floor.commands, "lab")
    assert f"for a check of {whose} since" in remark.says


async def test_of_two_at_the_same_moment_one_has_the_node_and_the_other_takes_nothing_away(
    floor: Floor,
) -> None:
    steps = [
        floor.step("site.wait", "/bin/sleep", "2", operation=operation) for operation in ("op-1", "op-2")
    ]
    told = await asyncio.gather(*(floor.run(step) for step in steps), return_exceptions=True)
    passed = [each for each in told if isinstance(each, Diagnosed) and each.finding.verdict is Verdict.PASS]
    assert len(passed) == 1, told
    await floor.is_left_alone()


async def test_a_node_with_somebody_elses_reason_is_left_alone(floor: Floor) -> None:
    floor.lab.update("gpu1", "State=DRAIN", "Reason=NHC: disk full")
    diagnosed = await floor.run(floor.step("site.links", "/bin/true"))
    assert diagnosed.finding.verdict is Verdict.UNKNOWN
    assert "somebody else's Reason stands on it" in diagnosed.finding.value
    assert "NHC: disk full" in floor.lab.line("gpu1")


async def test_a_reason_that_somebody_gives_while_it_is_being_reserved_is_not_erased(floor: Floor) -> None:
    facts = (await floor.reader.read([floor.key]))[floor.key]
    step = floor.step("site.links", "/bin/true")
    diagnosed = await floor.runner.run(
        step, facts, lambda told: floor.lab.update("gpu1", "State=DRAIN", "Reason=NHC: disk full")
    )
    assert diagnosed.finding.verdict is Verdict.UNKNOWN
    assert "somebody else's Reason stands on it" in diagnosed.finding.value
    assert "Reason=NHC: disk full [" in floor.lab.line("gpu1")
    assert list(await leftovers(floor.commands, "lab")) == []


async def test_a_node_in_somebody_elses_maintenance_is_never_undrained_for_their_jobs(floor: Floor) -> None:
    """A job of theirs may land wherever nothing but maintenance closes the node."""
    floor.lab.scontrol(
        *("create", "reservation", "ReservationName=vendor", "StartTime=now", "Duration=60"),
        *("Users=root", "Flags=MAINT,IGNORE_JOBS", "Nodes=gpu1"),
    )
    try:
        floor.lab.node_is("gpu1", "MAINTENANCE")
        job = floor.lab.submit("gpu1", "--reservation=vendor")
        diagnosed = await floor.run(floor.step("site.wait", "/bin/sleep", "3"))
        assert floor.lab.job_state(job) == "PENDING"
        assert diagnosed.finding.verdict is Verdict.UNKNOWN
        assert "somebody else's maintenance reservation" in diagnosed.finding.value
        floor.lab.cancel(job)
    finally:
        floor.lab.scontrol("delete", "ReservationName=vendor", check=False)
    await floor.is_left_alone()


async def test_a_controller_that_is_away_is_no_reason_to_think_that_nothing_was_left(floor: Floor) -> None:
    command = floor.folder / "scontrol"
    command.write_text("#!/bin/sh\necho 'Unable to contact slurm controller (connect failure)' >&2\nexit 1\n")
    command.chmod(0o755)
    away = SlurmCommands(RealClock(), {**floor.lab.environ, "PATH": str(floor.folder)})
    runner = SrunRunner(away, floor.reader.seen, RealClock(), "root")
    with pytest.raises(Unreachable):
        await runner.clean_up(floor.step("site.wait", "/bin/true"))


async def test_a_node_that_somebody_takes_down_during_a_check_passes_nothing_and_keeps_their_reason(
    floor: Floor,
) -> None:
    """srun exits 0 where the node fails under it."""
    begun = floor.folder / "begun"
    step = floor.step("site.wait", "/bin/sh", "-c", f"touch {begun}; sleep 60")
    running = asyncio.ensure_future(floor.run(step))
    await floor.lab.settles(begun.exists, "the check runs")
    floor.lab.update("gpu1", "State=DOWN", "Reason=smoke from its power supply")
    finding = (await running).finding
    try:
        assert finding.verdict is Verdict.UNKNOWN
        assert finding.value.startswith("Slurm cut it off: ")
        assert "NODE FAILURE" in finding.value.upper(), "srun says it in one of two ways"
        assert floor.lab.states("gpu1") == {"DOWN", "DRAIN"}
        assert "Reason=smoke from its power supply [" in floor.lab.line("gpu1")
        assert list(await leftovers(floor.commands, "lab")) == []
    finally:
        floor.lab.update("gpu1", "State=RESUME")
