"""What a step waits for, as a sentence."""

from __future__ import annotations

import pytest

from fleet.checking import lacking
from fleet.health import Finding, Verdict
from fleet.operation import Waiting


@pytest.mark.parametrize(
    ("waiting", "says"),
    [
        (
            Waiting("web/web-1", "budget web/pdb", "owner: search"),
            "budget web/pdb (owner: search): web/web-1",
        ),
        (Waiting("web/web-1", "to stop"), "web/web-1 to stop"),
        (Waiting("the node", "to be Ready: it is unknown"), "the node to be Ready: it is unknown"),
        (Waiting("", "its turn"), "its turn"),
    ],
)
def test_what_is_waited_for_reads_as_a_sentence(waiting: Waiting, says: str) -> None:
    assert waiting.says == says


def test_a_gate_waits_for_its_checks_to_pass_and_not_for_what_it_found() -> None:
    findings = (
        Finding("ready", Verdict.PASS),
        Finding("gpus", Verdict.FAIL, "7 GPUs", "8 GPUs", clears="the device plugin advertising them all"),
        Finding("telemetry", Verdict.UNKNOWN),
    )
    assert [waiting.says for waiting in lacking(findings)] == [
        "gpus to pass (7 GPUs, wants 8 GPUs; the device plugin advertising them all)",
        "telemetry to pass (UNKNOWN)",
    ]
