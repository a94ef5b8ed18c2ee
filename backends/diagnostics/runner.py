"""The port `CheckRunner`: runs an active check's command through an orchestrator, and reads what it printed."""

from __future__ import annotations

from collections.abc import Callable

from backends.diagnostics.dcgmi import read_diag
from backends.diagnostics.nccl import read_allreduce
from backends.diagnostics.reading import Reading
from backends.diagnostics.site_command import read_site
from fleet.diagnosis import DCGM_DIAG, NCCL, Diagnose, Diagnosed, Ran, unknown
from fleet.health import Finding, Verdict
from fleet.operation import Progress
from fleet.plan import NodeFacts, Step
from fleet.ports import Clock, CommandRunner
from fleet.text import clean

LONGER = "its output is longer than what is read: a fault may stand behind that"


class DiagnosticsRunner:
    """A `fleet.ports.CheckRunner` over one source's way of running a command on a node."""

    def __init__(self, commands: CommandRunner, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock

    async def refusal(self) -> str:
        """See `fleet.ports.CheckRunner.refusal`."""
        return await self._commands.refusal()

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Diagnosed:
        """See `fleet.ports.CheckRunner.run`."""
        action = step.action
        assert isinstance(action, Diagnose), "only an active check is run"
        if not action.command:
            clears = f"`command` under the check {action.check} of the category"
            return Diagnosed(unknown(action.check, "no command is configured", clears=clears))
        if not action.gpus and action.check in (DCGM_DIAG, NCCL):
            says = "how many GPUs it should have is not known"
            return Diagnosed(
                unknown(action.check, says, clears="expected_gpus in the category's configuration")
            )
        ran = await self._commands.run(step, facts, progress)
        return Diagnosed(self._finding(action, ran), tail=ran.tail, digest=ran.digest)

    async def clean_up(self, step: Step) -> None:
        """See `fleet.ports.CheckRunner.clean_up`."""
        await self._commands.clean_up(step)

    def leaves(self, step: Step) -> str:
        """See `fleet.ports.CheckRunner.leaves`."""
        return self._commands.leaves(step)

    def _finding(self, action: Diagnose, ran: Ran) -> Finding:
        at = ran.at or self._clock.now()
        of = f", output {ran.digest}" if ran.digest else ""
        source = clean(f"{ran.where or 'a run on the node'}{of}", 160)
        read = read_output(action, ran)
        why = ran.why or (LONGER if ran.cut and read.verdict is not Verdict.UNKNOWN else "")
        if why and read.verdict is not Verdict.FAIL:
            return unknown(action.check, why, source=source, clears=ran.clears, at=at)
        return Finding(action.check, read.verdict, read.value, read.threshold, source, at, read.clears)


def read_output(action: Diagnose, ran: Ran) -> Reading:
    """What the output of a check's command came to. A fault that it shows counts however it ended."""
    if action.check == DCGM_DIAG:
        return read_diag(ran.output, exit_code=ran.exit_code, gpus=action.gpus, cut=ran.cut)
    if action.check == NCCL:
        limit, model = action.limit, action.model
        return read_allreduce(ran.output, exit_code=ran.exit_code, gpus=action.gpus, model=model, limit=limit)
    return read_site(ran.output, exit_code=ran.exit_code)
