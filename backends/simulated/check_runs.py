"""What the pod of a check does on a simulated node: how long it takes, how it exits, what it prints, by what is wrong there.

A pod is a check's by its label. Its command says which: `dcgmi`, `all_reduce_perf`, or a command of the site's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from backends.simulated.faults import Fault, FaultKind
from backends.simulated.machines import Machine
from backends.simulated.objects import Json

_LABEL = "/check"
_DIAG_SECONDS = {"1": 10.0, "2": 120.0, "3": 900.0, "4": 5400.0}
_TESTS = {
    "1": ("software",),
    "2": ("software", "pcie", "memory"),
    "3": ("software", "pcie", "memory", "targeted_power", "targeted_stress"),
    "4": ("software", "pcie", "memory", "targeted_power", "targeted_stress", "memtest", "pulse_test"),
}
_FAILS = {FaultKind.XID: "memory", FaultKind.ECC: "memory", FaultKind.ROW_REMAP: "software"}
_ERRORS = {FaultKind.XID: (101, 5, 4), FaultKind.ECC: (4, 10, 6), FaultKind.ROW_REMAP: (80, 10, 2)}
"""By fault, the number, category and severity of the error that DCGM tells (`dcgm_errors.h`)."""

_BUS_GB = {"H100": 478.0, "H200": 484.0, "A100": 233.0}
_SIZES = (8 << 30, 16 << 30)


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One run: simulated seconds (None where it never ends), exit code, and what it prints."""

    seconds: float | None
    exit_code: int
    output: str


def is_check(pod: Json) -> bool:
    """Whether a pod runs a check and then ends."""
    return any(key.endswith(_LABEL) for key in pod["metadata"].get("labels") or {})


def run_of(pod: Json, machine: Machine) -> CheckRun:
    """What the pod of a check comes to on this machine, as it is now."""
    containers = pod["spec"].get("containers") or [{}]
    command = [str(part) for part in containers[0].get("command") or ()]
    if any(fault.kind is FaultKind.GPU_HANGS for fault in machine.faults):
        return CheckRun(None, 0, "")
    if command[:1] == ["dcgmi"]:
        return _diag(command, machine)
    if command[:1] == ["all_reduce_perf"]:
        return _allreduce(machine)
    faults = [fault for fault in machine.faults if fault.gpu is not None]
    said = f"{faults[0].kind.value} on GPU {faults[0].gpu}" if faults else "nothing wrong found"
    return CheckRun(20.0, 1 if faults else 0, f"looking at {machine.name}\n{said}\n")


def _diag(command: list[str], machine: Machine) -> CheckRun:
    level = command[command.index("-r") + 1] if "-r" in command[:-1] else "1"
    tests = _TESTS.get(level, _TESTS["1"])
    working = machine.working_gpus
    rows = [_test(name, working, machine.faults) for name in tests]
    failed = any(result["status"] == "Fail" for row in rows for result in row["results"])
    group = {
        "entities": [{"device_id": "2330", "entity_id": gpu} for gpu in working],
        "entity_group": "GPU",
        "entity_group_id": 1,
    }
    driver = machine.category.image(machine.image).driver
    document = {
        "DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": rows}]},
        "entity_groups": [group],
        "metadata": {"Driver Version Detected": driver, "version": "4.2.3"},
    }
    text = json.dumps(document, indent=1)
    return CheckRun(_DIAG_SECONDS.get(level, 10.0), 226 if failed else 0, f"{text}\n")


def _test(name: str, gpus: list[int], faults: list[Fault]) -> Json:
    """One test's results; a test fails on the GPU whose fault it would find."""
    bad = {fault.gpu: fault for fault in faults if _FAILS.get(fault.kind) == name}
    results: list[Json] = [{"entity_group": "GPU", "entity_group_id": 1, "entity_id": gpu} for gpu in gpus]
    for result in results:
        fault = bad.get(result["entity_id"])
        result["status"] = "Fail" if fault else "Pass"
        if fault:
            number, category, severity = _ERRORS[fault.kind]
            said = {"warning": f"GPU {fault.gpu}: {fault.kind.value} found", "error_id": number}
            result["warnings"] = [{**said, "error_category": category, "error_severity": severity}]
    return {"name": name, "results": results, "test_summary": {"status": "Fail" if bad else "Pass"}}


def _allreduce(machine: Machine) -> CheckRun:
    model, gpus = machine.category.model, machine.working_gpus
    full = next((value for name, value in _BUS_GB.items() if name in model.product), 12.0)
    slow = any(fault.gpu is not None for fault in machine.faults)
    bus = full * (0.6 if slow else 1.0)
    ranks = "".join(
        f"#  Rank {gpu:2} Group  0 Pid {1000 + gpu} on {machine.name} device {gpu:2} [0x{gpu:02x}] {model.name}\n"
        for gpu in gpus
    )
    rows = "".join(
        f" {size:12} {size // 4:12} float sum -1 100.0 {bus / 1.75:.2f} {bus:.2f} 0 100.0 {bus / 1.75:.2f} {bus:.2f} 0\n"
        for size in _SIZES
    )
    head = f"# nThread 1 nGpus {len(gpus)} minBytes {_SIZES[0]} maxBytes {_SIZES[-1]} step: 2(factor)\n"
    return CheckRun(
        90.0,
        0,
        f"{head}# Using devices\n{ranks}{rows}# Out of bounds values : 0 OK\n# Avg bus bandwidth : {bus:.2f}\n",
    )
