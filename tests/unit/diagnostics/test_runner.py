"""What came of a command, as the finding that it leads to: output that was not read to its end passes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from backends.diagnostics.runner import DiagnosticsRunner
from fleet.diagnosis import Diagnose, Diagnosed, Ran
from fleet.health import Verdict
from fleet.node import Node, NodeKey
from fleet.operation import Progress
from fleet.plan import NodeFacts, Step
from tests.clocks import ManualClock

KEY = NodeKey("lab", "gpu-1")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Commands:
    """A `CommandRunner` to which a command came as it is told."""

    def __init__(self, ran: Ran) -> None:
        self.ran = ran

    async def refusal(self) -> str:
        return ""

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Ran:
        return self.ran

    def leaves(self, step: Step) -> str:
        return f"job of {step.id}: end it"

    async def clean_up(self, step: Step) -> None:
        return


async def diagnose(ran: Ran) -> Diagnosed:
    step = Step("lab/gpu-1/1-diagnose", KEY, Diagnose("site.links", "op-1", "oncall", ("check",)), "run it")
    return await DiagnosticsRunner(Commands(ran), ManualClock()).run(step, NodeFacts(Node(KEY)), print)


@pytest.mark.parametrize(
    ("exit_code", "verdict"), [(0, Verdict.UNKNOWN), (1, Verdict.FAIL), (7, Verdict.UNKNOWN)]
)
async def test_output_that_was_not_read_to_its_end_is_no_pass(exit_code: int, verdict: Verdict) -> None:
    """Its last line, which may say FAIL, is what was not read."""
    diagnosed = await diagnose(Ran("all links up\n" * 9, exit_code, NOW, cut=True))
    assert diagnosed.finding.verdict is verdict


async def test_output_that_was_read_to_its_end_is_judged() -> None:
    assert (await diagnose(Ran("all links up\n", 0, NOW))).finding.verdict is Verdict.PASS
