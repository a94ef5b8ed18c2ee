"""Nodes that Slurm powers down, on a real slurmctld: they are asleep, not failed, and a reimage of one wakes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.category import SLURM_REBOOT
from fleet.errors import Conflict, TimedOut
from fleet.health import Verdict
from fleet.node import Admission, Readiness
from fleet.operation import Effect, StepState
from fleet.plan import ApplyVerdict, AwaitBoot, PutImage, Release, Step
from fleet.policy import Policy
from fleet.severity import Severity, standing
from tests.contract.test_slurm_verbs import (
    LONG,
    OPERATION,
    Bench,
    bench_of,
    closed_for_reimage,
    hold,
    record,
)
from tests.slurm_lab import MARK, SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-trouble")]

_RESUME = """#!/bin/sh
# Powers nodes up: each boots as RebootProgram would have it, unless the test holds its boot, or the labelling of what it booted.
export {mark}="$(cat "{folder}/mark")"  # slurmctld hands no variables on, and by this one the lab ends what is left
for node in $(scontrol show hostnames "$1"); do LAB_NODE=$node "{folder}/boot"; done
"""
_BOOT = """#!/bin/sh
setsid sh -c '
for turn in $(seq 2400); do [ -e "{folder}/held-$LAB_NODE" ] || break; sleep 0.05; done
image=$(cat "{folder}/image" 2>/dev/null || echo v2)
slurmd -b -N "$LAB_NODE"
for turn in $(seq 2400); do [ -e "{folder}/unlabelled-$LAB_NODE" ] || break; sleep 0.05; done
features=h100,rack1,image-$image
for turn in $(seq 100); do
scontrol update NodeName="$LAB_NODE" AvailableFeatures="$features" ActiveFeatures="$features" && break
sleep 0.1
done
' </dev/null >/dev/null 2>&1 &
"""


@pytest.fixture
def power(tmp_path: Path) -> Path:
    """A folder with a SuspendProgram and a ResumeProgram, and `image` for what the next boot brings."""
    folder = tmp_path / "power"
    folder.mkdir()
    for name, text in (("resume", _RESUME), ("boot", _BOOT), ("suspend", "#!/bin/sh\n")):
        (folder / name).write_text(text.format(folder=folder, mark=MARK))
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def bench(tmp_path: Path, power: Path) -> Iterator[Bench]:
    programs = f"SuspendProgram={power}/suspend\nResumeProgram={power}/resume\n"
    extra = f"{programs}SuspendTime=36000\nSuspendTimeout=2\n"
    with slurm_lab(tmp_path, 2, resume_timeout=12, extra=extra) as lab:
        (power / "mark").write_text(lab.environ[MARK])
        yield bench_of(lab)


def put_to_sleep(lab: SlurmLab, node: str = "gpu1") -> None:
    lab.update(node, "State=POWER_DOWN")
    lab.node_is(node, "POWERED_DOWN")
    lab.stop_slurmd(node)


async def test_a_node_that_sleeps_is_no_fault_and_says_what_wakes_it(bench: Bench) -> None:
    put_to_sleep(bench.lab)
    node = (await bench.facts("gpu1")).node
    assert node.asleep == "scontrol update NodeName=gpu1 State=POWER_UP"
    assert (node.admission, node.readiness) == (Admission.OPEN, Readiness.UNKNOWN)
    assert standing(node, None, Policy()) is Severity.NOTICE


async def test_a_reimage_wakes_a_node_that_sleeps_and_keeps_it_behind_the_gate(
    bench: Bench, power: Path
) -> None:
    (power / "image").write_text("v3")
    (power / "held-gpu1").touch()
    (power / "unlabelled-gpu1").touch()
    put_to_sleep(bench.lab)
    await closed_for_reimage(bench)
    assert "POWERED_DOWN" in bench.lab.states("gpu1"), "closing wakes nothing"
    put = await bench.planned("gpu1", PutImage("v3", SLURM_REBOOT, hold("reimage")))
    assert await bench.writer.effect_of(put) is Effect.NOT
    boot = await bench.planned("gpu1", AwaitBoot("v3", LONG))
    woken = await bench.writer.perform(put, bench.told.append)
    assert woken.says.startswith("woken")
    await is_not_rebooted_again(bench, put)
    (power / "held-gpu1").unlink()
    bench.lab.node_is("gpu1", "IDLE", "DRAIN", without=("POWERING_UP", "NOT_RESPONDING"))
    assert (await bench.facts("gpu1")).node.image.running == "v1", "what it booted is not labelled yet"
    await is_not_rebooted_again(bench, put)
    (power / "unlabelled-gpu1").unlink()
    assert (await bench.writer.perform(boot, bench.told.append)).state is StepState.DONE
    await is_not_rebooted_again(bench, put)
    assert bench.lab.states("gpu1") == {"IDLE", "DRAIN"}
    assert bench.field("gpu1", "Reason").startswith("quarterdeck: dust")
    await bench.do("gpu1", ApplyVerdict(record(Verdict.PASS), OPERATION, admit=True))
    bench.lab.node_is("gpu1", "IDLE", without=("DRAIN",))


async def is_not_rebooted_again(bench: Bench, put: Step) -> None:
    """However often this put is resumed, whenever in the boot that it asked for."""
    assert await bench.writer.effect_of(put) is Effect.TOOK
    again = await bench.writer.perform(put, bench.told.append)
    assert again.state is StepState.SKIPPED, again
    assert not bench.lab.states("gpu1") & {"REBOOT_REQUESTED", "REBOOT_ISSUED"}


async def test_somebody_elses_hold_on_a_node_that_sleeps_outlives_its_waking(bench: Bench) -> None:
    put_to_sleep(bench.lab)
    bench.lab.update("gpu1", "State=DRAIN", "Reason=disk full")
    await closed_for_reimage(bench)
    boot = await bench.planned("gpu1", AwaitBoot("v2", LONG))
    await bench.do("gpu1", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    await bench.writer.perform(boot, bench.told.append)
    assert bench.field("gpu1", "Reason").startswith("disk full")
    outcome = await bench.do("gpu1", ApplyVerdict(record(Verdict.PASS), OPERATION, admit=True))
    assert "stays closed" in outcome.says
    assert "DRAIN" in bench.lab.states("gpu1")


async def test_a_node_whose_boot_slurm_forgot_in_its_sleep_is_woken_all_the_same(bench: Bench) -> None:
    put_to_sleep(bench.lab)
    bench.lab.update("gpu1", "State=DRAIN", "Reason=x")
    bench.lab.update("gpu1", "State=RESUME")
    assert not (await bench.facts("gpu1")).node.boot_id
    await closed_for_reimage(bench)
    boot = await bench.planned("gpu1", AwaitBoot("v2", LONG))
    await bench.do("gpu1", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    assert (await bench.writer.perform(boot, bench.told.append)).state is StepState.DONE


async def test_a_node_that_does_not_wake_is_said_and_stays_closed(bench: Bench, power: Path) -> None:
    (power / "held-gpu1").touch()
    put_to_sleep(bench.lab)
    await closed_for_reimage(bench)
    boot = await bench.planned("gpu1", AwaitBoot("v2", 2 * LONG))
    await bench.do("gpu1", PutImage("v2", SLURM_REBOOT, hold("reimage")))
    with pytest.raises(TimedOut, match="gave its reboot up"):
        await bench.writer.perform(boot, bench.told.append)
    assert {"DOWN", "DRAIN"} <= bench.lab.states("gpu1")
    (power / "held-gpu1").unlink()


async def test_a_node_on_its_way_to_sleep_is_left_alone(bench: Bench) -> None:
    """Slurm takes DRAIN away from a node that it was told to power down, a moment after it was told."""
    await closed_for_reimage(bench, "gpu2")
    bench.lab.update("gpu2", "State=POWER_DOWN")
    with pytest.raises(Conflict, match=r"goes to sleep|is not drained"):
        await bench.do("gpu2", PutImage("v2", SLURM_REBOOT, hold("reimage")))


async def test_opening_a_node_that_sleeps_does_not_wake_it(bench: Bench) -> None:
    put_to_sleep(bench.lab)
    await closed_for_reimage(bench)
    await bench.do("gpu1", Release((OPERATION,), open_gate=True))
    bench.lab.node_is("gpu1", "POWERED_DOWN", without=("DRAIN",))
