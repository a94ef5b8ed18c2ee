"""Commands that fail, hang, flood or are not there: programs of our own under Slurm's names."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from backends.slurm.commands import SlurmCommands
from fleet.errors import (
    Conflict,
    Denied,
    FleetError,
    Garbled,
    Missing,
    OutcomeUnknown,
    Rejected,
    Unreachable,
)
from tests.clocks import ManualClock

UNREADABLE_CONF = """scontrol: error: s_p_parse_file: unable to read "x": Permission denied
scontrol: fatal: Unable to process configuration file"""
MUNGE_DEAD = """scontrol: error: Munge encode failed: Failed to access "sock"
slurm_load_node error: Protocol authentication error"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install(folder: Path, script: str, program: str = "scontrol") -> None:
    """A program of that name that does what `script` says."""
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)


def commands(path: Path, clock: ManualClock | None = None, **more: int) -> SlurmCommands:
    environ = {
        "PATH": f"{path}:/usr/bin:/bin",
        "SLURM_TIME_FORMAT": "%s",
        "SQUEUE_FORMAT": "%i",
        "KEPT": "yes",
    }
    return SlurmCommands(
        clock or ManualClock(), environ, Path("/etc/lab.conf"), timedelta(seconds=20), **more
    )


def fails(path: Path, says: str) -> None:
    install(path, f"cat >&2 <<'END'\n{says}\nEND\nexit 1")


async def test_arguments_arrive_as_they_are_given(path: Path) -> None:
    install(path, 'for word in "$@"; do echo "[$word]"; done')
    printed = await commands(path).read("scontrol", "show", "Reason=a b; $(rm -rf /)", "*", "")
    assert printed == "[show]\n[Reason=a b; $(rm -rf /)]\n[*]\n[]\n"


async def test_nothing_is_asked_of_the_other_clusters_of_a_federation(path: Path) -> None:
    install(path, 'echo "$SCONTROL_LOCAL $SQUEUE_LOCAL <$SQUEUE_FEDERATION>"')
    assert await commands(path).read("scontrol") == "1 1 <>\n"


async def test_nothing_in_the_environment_reshapes_what_is_printed(path: Path) -> None:
    install(path, 'echo "$SLURM_CONF $LC_ALL $TZ $SLURM_TIME_FORMAT <$SQUEUE_FORMAT> $KEPT"')
    assert await commands(path).read("scontrol") == "/etc/lab.conf C UTC standard <> yes\n"


async def test_a_command_that_waits_for_input_gets_none(path: Path) -> None:
    install(path, "read line || echo none")
    assert await commands(path).read("scontrol") == "none\n"


async def test_a_missing_command_is_unreachable_and_named(tmp_path: Path) -> None:
    here = SlurmCommands(ManualClock(), {"PATH": str(tmp_path)})
    with pytest.raises(Unreachable, match="no scontrol on the PATH"):
        await here.read("scontrol", "ping")


async def test_a_command_that_may_not_be_run_is_unreachable(path: Path) -> None:
    (path / "scontrol").write_text("not a program")
    here = SlurmCommands(ManualClock(), {"PATH": str(path)})
    with pytest.raises(Unreachable, match="scontrol can't be run"):
        await here.read("scontrol", "ping")


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ("slurm_load_node error: Unable to contact slurm controller (connect failure)", Unreachable),
        ("slurm_load_node error: Socket timed out on send/recv operation", Unreachable),
        ("scontrol: fatal: Could not establish a configuration source", Unreachable),
        (UNREADABLE_CONF, Unreachable),
        (MUNGE_DEAD, Unreachable),
        ("slurm_update error: Invalid user id", Denied),
        ("scontrol_reboot_nodes error: Permission denied", Denied),
        ("slurm_update error: Access/permission denied", Denied),
        ("slurm_update error: Invalid node name specified", Missing),
        ("slurm_load_jobs error: Invalid job id specified", Missing),
        ("Error creating the reservation: Duplicate reservation name", Conflict),
        ("slurm_update error: Invalid node state specified", Rejected),
        ("", Rejected),
    ],
)  # fmt: skip
async def test_what_a_failed_read_says_is_told_in_the_words_of_the_fleet(
    path: Path, says: str, kind: type[FleetError]
) -> None:
    fails(path, says)
    with pytest.raises(FleetError) as failed:
        await commands(path).read("scontrol", "show", "node", "gpu1", about="gpu1")
    assert type(failed.value) is kind
    assert failed.value.about == "gpu1"
    assert "scontrol show node gpu1" in failed.value.message


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ("slurm_update error: Unable to contact slurm controller (connect failure)", Unreachable),
        ("slurm_update error: Unable to contact slurm controller (receive failure)", OutcomeUnknown),
        ("slurm_update error: Socket timed out on send/recv operation", OutcomeUnknown),
        ("slurm_update error: Zero Bytes were transmitted or received", OutcomeUnknown),
        ("scontrol: error: Munge encode failed: no\nslurm_update error: Protocol authentication error", Unreachable),
        ("slurm_update error: Invalid user id", Denied),
        ("slurm_update error: Requested nodes are busy", Conflict),
    ],
)  # fmt: skip
async def test_a_change_whose_answer_is_lost_has_an_unknown_outcome(
    path: Path, says: str, kind: type[FleetError]
) -> None:
    fails(path, says)
    with pytest.raises(FleetError) as failed:
        await commands(path).change("scontrol", "update", "NodeName=gpu1", about="gpu1")
    assert type(failed.value) is kind


async def test_a_command_that_hangs_is_killed_at_the_deadline(path: Path, tmp_path: Path) -> None:
    install(path, f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    clock = ManualClock()
    reading = asyncio.create_task(commands(path, clock).read("scontrol", "show", "nodes"))
    pid = await started(tmp_path / "pid", clock)
    await clock.advance(timedelta(seconds=21))
    with pytest.raises(Unreachable, match="scontrol show nodes: no answer in 20 s"):
        await reading
    assert not Path(f"/proc/{pid}").exists()


async def test_a_change_that_hangs_has_an_unknown_outcome(path: Path, tmp_path: Path) -> None:
    install(path, f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    clock = ManualClock()
    changing = asyncio.create_task(commands(path, clock).change("scontrol", "update", about="gpu1"))
    await started(tmp_path / "pid", clock)
    await clock.advance(timedelta(seconds=21))
    with pytest.raises(OutcomeUnknown, match="gpu1: scontrol update: no answer in 20 s: read it back"):
        await changing


async def test_a_cancelled_read_leaves_no_command_behind(path: Path, tmp_path: Path) -> None:
    install(path, f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    reading = asyncio.create_task(commands(path).read("scontrol"))
    pid = await started(tmp_path / "pid")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not Path(f"/proc/{pid}").exists()


async def test_a_cancelled_change_ends_before_it_is_left(path: Path, tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    install(path, f"echo $$ > {tmp_path}/pid; until [ -e {go} ]; do sleep 0.01; done; touch {done}")
    changing = asyncio.create_task(commands(path).change("scontrol", "update"))
    await started(tmp_path / "pid")
    changing.cancel()
    go.touch()
    with pytest.raises(asyncio.CancelledError):
        await changing
    assert done.exists()


async def test_an_endless_answer_is_garbled_not_kept(path: Path) -> None:
    install(path, "exec yes")
    with pytest.raises(Garbled, match="more than 100000 bytes"):
        await commands(path, output_limit=100_000).read("scontrol")


async def test_one_read_waits_for_the_other(path: Path, tmp_path: Path) -> None:
    install(path, f"mkdir {tmp_path}/alone || exit 1; sleep 0.02; rmdir {tmp_path}/alone; echo ok")
    here = commands(path)
    assert await asyncio.gather(*(here.read("scontrol") for _ in range(4))) == ["ok\n"] * 4


async def test_bytes_that_are_no_text_are_read_all_the_same(path: Path) -> None:
    install(path, r"printf 'Reason=\377\376 ok\n'")
    assert (await commands(path).read("scontrol")).endswith(" ok\n")


async def started(pid: Path, clock: ManualClock | None = None) -> str:
    """The pid that the program wrote, once it has, and its deadline runs on `clock`."""
    for _ in range(2000):
        ticking = clock is None or clock.sleepers
        if ticking and pid.exists() and (text := pid.read_text().strip()):
            return text
        await asyncio.sleep(0.005)
    raise AssertionError("the program never started")
