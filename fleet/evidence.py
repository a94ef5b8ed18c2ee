"""Evidence newer than a fault: what alone lifts a quarantine. A boot, a node made anew, or a repair that a person notes.

A sign that goes away proves nothing: an XID ages out, an exporter starts anew. What a repair answers is named by the fault itself
and not by time, so that no clock of another machine decides, and one word lifts one fault.
"""

from __future__ import annotations

from datetime import datetime

from fleet.check_catalogue import EVIDENCE
from fleet.checks import Scene
from fleet.gpu_scene import on_gpus
from fleet.health import CLOCKS_DIFFER, Finding, GateRecord, Verdict, same_boot
from fleet.holder import HolderKind
from fleet.node import Node, Stage
from fleet.node_past import time_of_boot
from fleet.text import clean
from fleet.xid import lookup

READ_AGAIN = frozenset(
    {
        "ready",
        "conditions",
        "gpus",
        "image",
        "driver",
        "cuda",
        "vbios",
        "gpu-operator",
        "health-check",
        "telemetry",
        "temperature",
        "temp-margin",
        "persistence",
        "pcie-gen",
    }
)
"""Checks whose fault is gone when they pass: they read a state. Any other fault (an XID, a failed row) outlives its sign."""

_LIMIT = 200
_CLEARS = "a boot of the node after its fault, a reimage, or a repair noted: gate NODE --repaired TEXT"


def evidence_of(scene: Scene) -> Finding | None:
    """Whether a node that failed has given evidence newer than its fault. None where no fault asks for it."""
    node, record = scene.node, scene.node.gate
    if fault_of(node) == "":
        return None
    if record is not None and asks_for_evidence(record):
        return _booted(scene, record)
    return _ready_again(scene)


def fault_of(node: Node) -> str:
    """The fault that asks for evidence, named so that a repair can answer it and no other; empty where none does."""
    record = node.gate
    if record is not None and asks_for_evidence(record):
        at = record.at.isoformat() if record.at is not None else ""
        return f"gate {record.digest} {at}".strip()
    if node.stage is Stage.QUARANTINED and (record is None or record.verdict.admits):
        since = quarantined_since(node)
        return f"step {since.isoformat() if since is not None else ''}".strip()
    return ""


def asks_for_evidence(record: GateRecord) -> bool:
    """Whether a recorded fault can be over only after a reset or a boot: its sign going away proves nothing."""
    if any(finding.check == EVIDENCE and not finding.verdict.admits for finding in record.findings):
        return True
    failed = [finding.check for finding in record.findings if finding.verdict is Verdict.FAIL]
    return record.verdict is Verdict.FAIL and (not failed or any(check not in READ_AGAIN for check in failed))


def quarantined_since(node: Node) -> datetime | None:
    """When our latest hold on the node began; None where we have none, or it says no time."""
    return max(
        (hold.since for hold in node.holds if hold.kind is HolderKind.OURS and hold.since), default=None
    )


def _booted(scene: Scene, record: GateRecord) -> Finding:
    node = scene.node
    threshold = f"a boot other than {record.boot_id}" if record.boot_id else "a boot newer than the fault"
    if record.at is not None and node.created is not None and node.created > record.at:
        return _newer(scene, f"made anew at {node.created:%Y-%m-%d %H:%M} UTC", threshold, node.created)
    if record.boot_id and node.boot_id and not same_boot(record.boot_id, node.boot_id):
        booted = time_of_boot(node.boot_id) or scene.ready_since
        return _newer(scene, f"booted since ({node.boot_id})", threshold, booted)
    if (said := _repaired(scene, threshold)) is not None:
        return said
    if not record.boot_id or not node.boot_id:
        return _evidence(scene, Verdict.UNKNOWN, "which boot failed is not recorded", threshold)
    return _evidence(scene, Verdict.FAIL, "the same boot as when it failed", threshold)


def _ready_again(scene: Scene) -> Finding:
    """A quarantine that no failed check explains was left by a failed step: the node must have come up after it."""
    since, ready = quarantined_since(scene.node), scene.ready_since
    threshold = "the node ready again after what failed"
    if since is not None and ready is not None and ready > since:
        return _newer(scene, f"ready since {ready:%Y-%m-%d %H:%M} UTC", threshold, ready)
    if (said := _repaired(scene, threshold)) is not None:
        return said
    return _evidence(scene, Verdict.UNKNOWN, "nothing newer than what failed", threshold)


def _repaired(scene: Scene, threshold: str) -> Finding | None:
    """The repair that answers this very fault. Whoever noted it has a clock of their own."""
    repair = scene.node.repair
    if repair is None or repair.answers != fault_of(scene.node):
        return None
    value = f"repaired: {repair.says} ({repair.by}, {repair.at:%Y-%m-%d %H:%M} UTC)"
    return _newer(scene, value, threshold, repair.at + CLOCKS_DIFFER)


def _newer(scene: Scene, value: str, threshold: str, at: datetime | None) -> Finding:
    """A pass, unless a GPU shows a forbidden XID that is known to have come after it: that is a fault of its own."""
    later = [
        gpu
        for gpu in scene.readings.gpus
        if gpu.xid in scene.policy.forbidden_xids
        and gpu.xid_at is not None
        and at is not None
        and gpu.xid_at > at
    ]
    last = max(later, key=lambda gpu: gpu.xid_at or scene.now, default=None)
    if last is None or last.xid is None:
        return _evidence(scene, Verdict.PASS, value, threshold)
    says = (
        f"{lookup(last.xid).label}{on_gpus([last])} at {last.xid_at:%Y-%m-%d %H:%M} UTC, after this: {value}"
    )
    return _evidence(scene, Verdict.FAIL, clean(says, _LIMIT), threshold)


def _evidence(scene: Scene, verdict: Verdict, value: str, threshold: str) -> Finding:
    clears = "" if verdict is Verdict.PASS else _CLEARS
    return Finding(EVIDENCE, verdict, value, threshold, scene.node.key.source, scene.now, clears)
