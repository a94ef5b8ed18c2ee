"""A condition's message: NVSentinel's faults each on lines of their own, anything else as it stands, nothing lost."""

from __future__ import annotations

import pytest

from fleet.node import Condition
from widgets.condition_lines import message_lines, says_more

TWO = (
    "ErrorCode:DCGM_FR_NVLINK_DOWN GPU:3 PCI:0000:1b:00.0 GPU_UUID:GPU-5a3c NVLink is down Recommended Action=RESTART_VM;"
    "ErrorCode:79 GPU:4 PCI:0000:2b:00.0 GPU_UUID:GPU-aaaa XID error occurred Recommended Action=COMPONENT_RESET;"
)


def text(message: str) -> list[str]:
    return ["".join(part for part, _ in line) for line in message_lines(message)]


def test_each_fault_has_its_gpu_its_place_and_what_is_recommended() -> None:
    assert text(TWO) == [
        "  error DCGM_FR_NVLINK_DOWN, GPU 3  NVLink is down",
        "    PCI 0000:1b:00.0  GPU-5a3c",
        "    recommended: RESTART_VM",
        "  error 79, GPU 4  XID error occurred",
        "    PCI 0000:2b:00.0  GPU-aaaa",
        "    recommended: COMPONENT_RESET",
    ]


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("kubelet is posting ready status", ["  kubelet is posting ready status"]),
        ("a; b", ["  a; b"]),
        ("ErrorCode:79 GPU:0 GPU:1 both", ["  error 79, GPU 0, 1  both"]),
        ("ErrorCode: ;; ErrorCode:7…", ["  error ", "  error 7…"]),
        ("no code;ErrorCode:5", ["    no code", "  error 5"]),
    ],
)
def test_a_message_that_is_odd_is_shown_all_the_same(message: str, lines: list[str]) -> None:
    assert text(message) == lines


def test_a_reason_that_only_says_the_type_again_is_left_out() -> None:
    assert says_more(Condition("GpuNvlinkWatch", "True", True, "GpuNvlinkWatchIsNotHealthy")) == ""
    assert says_more(Condition("Ready", "False", True, "KubeletNotReady")) == "KubeletNotReady"
