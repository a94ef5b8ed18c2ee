"""Locks as `scontrol show reservation -o` prints them, among reservations that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backends.slurm.commands import SlurmCommands
from backends.slurm.errors import Completed
from backends.slurm.locks import ReservationLocks, read_locks
from fleet.errors import Conflict
from fleet.lock import Lock
from fleet.node import NodeKey
from tests.clocks import ManualClock

OURS = (
    "ReservationName=quarterdeck-gpu1 StartTime=2026-03-01T03:00:00 EndTime=2026-03-01T03:05:00 Duration=00:05:00"
    " Nodes=(null) NodeCnt=0 CoreCnt=0 Features=(null) PartitionName=(null) Flags=ANY_NODES TRES=(null) Users=root"
    " Groups=(null) Accounts=(null) Licenses=(null) State=ACTIVE BurstBuffer=quarterdeck:{operation}/{by}"
    " Watts=n/a MaxStartDelay=(null)"
)
SITES = OURS.replace("quarterdeck-gpu1", "maintenance").replace("quarterdeck:{operation}/{by}", "(null)")


def test_a_lock_says_who_has_it_for_what_and_until_when() -> None:
    text = f"{SITES}\n{OURS.format(operation='op-1', by='oncall@login1')}\n{SITES}\n"
    since, until = (datetime(2026, 3, 1, 3, minute, tzinfo=UTC) for minute in (0, 5))
    assert read_locks(text) == {"gpu1": Lock("oncall@login1", "op-1", since, until)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No reservations in the system\n",
        SITES,
        OURS.replace("quarterdeck:{operation}/{by}", "datawarp:5TB"),
        OURS.replace("quarterdeck:{operation}/{by}", "(null)") + "\n" + SITES,
        f"ReservationName=x Comment={OURS.format(operation='op-1', by='oncall')}",
    ],
)
def test_other_reservations_are_no_locks(text: str) -> None:
    assert read_locks(text) == {}


def test_what_stands_there_is_cleaned_for_a_screen() -> None:
    (lock,) = read_locks(OURS.format(operation="op-1\x1b[31m", by="on\x07call" + "x" * 500)).values()
    assert "\x1b" not in str(lock)
    assert "\x07" not in str(lock)
    assert len(str(lock)) < 300


class Hidden(SlurmCommands):
    """A Slurm that has the reservation, and with PrivateData=reservations shows it to nobody else."""

    def __init__(self) -> None:
        super().__init__(ManualClock(), {})
        self.changed: list[tuple[str, ...]] = []

    async def ask(self, *argv: str, about: str = "", deadline: timedelta | None = None) -> Completed:
        return Completed(argv, 0, "No reservations in the system\n", "")

    async def change(self, *argv: str, about: str = "", deadline: timedelta | None = None) -> str:
        self.changed.append(argv)
        raise Conflict("Duplicate reservation name", about=about)


async def test_a_lock_that_is_not_to_be_seen_is_nobody_s_to_keep_up() -> None:
    slurm = Hidden()
    with pytest.raises(Conflict, match="Slurm does not show us who"):
        await ReservationLocks(slurm, ManualClock()).take(NodeKey("lab", "gpu1"), "op-1", "oncall")
    assert {argv[1] for argv in slurm.changed} == {"create"}
