"""A cluster whose every answer is a text of the test's: what the feed makes of answers that no lab gives at will."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from backends.slurm.commands import SlurmCommands
from backends.slurm.errors import Completed
from fleet.errors import FleetError
from tests.clocks import ManualClock

CONFIG = """Configuration data as of 2026-03-01T03:00:00
AccountingStorageType   = accounting_storage/none
ClusterName             = lab
HASH_VAL                = Match
HealthCheckProgram      = (null)
PrivateData             = none
RebootProgram           = /sbin/reboot
SlurmUser               = slurm(64030)
SlurmctldHost[0]        = head(10.0.0.1)
SLURM_VERSION           = 22.05.8
TopologyPlugin          = topology/tree
"""
TOPOLOGY = """SwitchName=leaf1 Level=0 LinkSpeed=1 Nodes=gpu[1-2]
SwitchName=leaf2 Level=0 LinkSpeed=1 Nodes=gpu3
SwitchName=spine Level=1 LinkSpeed=1 Nodes=gpu[1-3] Switches=leaf[1-2]
"""


@dataclass(slots=True)
class Answers:
    """What each command prints, by its last word but options (`nodes`, `config`, `topology`) or `squeue`; an error is raised."""

    clock: ManualClock
    nodes: str | FleetError = ""
    jobs: str | FleetError = ""
    config: str | FleetError = CONFIG
    topology: str | FleetError = TOPOLOGY
    takes: timedelta = timedelta(0)
    broken_off: bool = False
    asked: list[str] = field(default_factory=list)


class Scripted(SlurmCommands):
    """Commands that print what `answers` says, taking as long as it says on its clock."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers.clock, {})
        self._answers = answers

    async def ask(self, *argv: str, about: str = "", deadline: timedelta | None = None) -> Completed:
        what = "jobs" if argv[0] == "squeue" else argv[2]
        self._answers.asked.append(what)
        answer: str | FleetError = getattr(self._answers, what)
        await self._answers.clock.sleep(self._answers.takes)
        if isinstance(answer, FleetError):
            raise answer
        if answer.startswith("NodeName=") and not self._answers.broken_off:
            answer = answer.removesuffix("\n") + "\n"
        return Completed(argv, 0, answer, "")
