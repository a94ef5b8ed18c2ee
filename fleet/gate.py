"""Runs a category's gate checks over fresh facts and telemetry, and asks a quarantine for evidence newer than its fault.

The deeper gate (diagnostics on the node) adds findings; this one needs no agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from fleet.category import Category, CheckPolicy
from fleet.checks import FROM_FACTS, Scene
from fleet.gpu_checks import FROM_TELEMETRY, NOT_NEEDED
from fleet.health import Finding, GateRecord, Verdict, same_boot
from fleet.holder import HolderKind
from fleet.node import Node, NodeKey, Stage
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.ports import Clock
from fleet.telemetry_feed import Readings

EVIDENCE = "evidence"
CHECKS = (*FROM_FACTS, *FROM_TELEMETRY, EVIDENCE)
"""Every check by the name under which a category configures it."""

READ_AGAIN = frozenset({"ready", "conditions", "gpus", "image", "driver", "telemetry", "temperature"})
"""Checks whose fault is gone when they pass: they read a state. Any other fault (an XID, a failed row) outlives its sign."""

ReadGpus = Callable[[NodeKey], Awaitable[Readings]]


class GateChecker:
    """The port `Checker`. `read_gpus` reads one node's telemetry (`TelemetryFeed.readings`); None where there is no source."""

    def __init__(self, policy: Policy, clock: Clock, read_gpus: ReadGpus | None) -> None:
        self._policy = policy
        self._clock = clock
        self._read_gpus = read_gpus

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        """One finding a check that the category has enabled, after those that came with the facts."""
        if self._read_gpus is None:
            readings = Readings(why="no telemetry source is configured")
        else:
            readings = await self._read_gpus(facts.node.key)
        scene = Scene(facts, category, self._policy, readings, self._clock.now())
        return (*facts.findings, *check_all(scene))


def check_all(scene: Scene) -> tuple[Finding, ...]:
    """The findings of every enabled check, with what the category needs of each."""
    found = []
    for name, check in (*FROM_FACTS.items(), *FROM_TELEMETRY.items()):
        policy = scene.category.checks.get(name, CheckPolicy(needed=name not in NOT_NEEDED))
        if policy.enabled:
            finding = check(replace(scene, limit=policy.limit))
            found.append(replace(finding, needed=finding.needed and policy.needed))
    evidence = evidence_of(scene)
    if evidence is not None and scene.category.checks.get(EVIDENCE, CheckPolicy()).enabled:
        found.append(evidence)
    return tuple(found)


def evidence_of(scene: Scene) -> Finding | None:
    """Whether a node that failed has given evidence newer than its fault: another boot. None where no fault asks for it."""
    node, record = scene.node, scene.node.gate
    if record is not None and asks_for_a_boot(record):
        return _booted(scene, record)
    if node.stage is Stage.QUARANTINED and (record is None or record.verdict.admits):
        return _ready_again(scene)
    return None


def asks_for_a_boot(record: GateRecord) -> bool:
    """Whether a recorded fault can be over only after a reset or a boot: its sign going away proves nothing."""
    if any(finding.check == EVIDENCE and not finding.verdict.admits for finding in record.findings):
        return True
    failed = [finding.check for finding in record.findings if finding.verdict is Verdict.FAIL]
    return record.verdict is Verdict.FAIL and (not failed or any(check not in READ_AGAIN for check in failed))


def _booted(scene: Scene, record: GateRecord) -> Finding:
    node, clears = scene.node, "a boot of the node after its fault, or a reimage"
    threshold = f"a boot other than {record.boot_id}" if record.boot_id else "a boot newer than the fault"
    if record.at is not None and node.created is not None and node.created > record.at:
        return _evidence(scene, Verdict.PASS, f"made anew at {node.created:%Y-%m-%d %H:%M} UTC", threshold)
    if not record.boot_id or not node.boot_id:
        return _evidence(scene, Verdict.UNKNOWN, "which boot failed is not recorded", threshold, clears)
    if same_boot(record.boot_id, node.boot_id):
        return _evidence(scene, Verdict.FAIL, "the same boot as when it failed", threshold, clears)
    return _evidence(scene, Verdict.PASS, f"booted since ({node.boot_id})", threshold)


def _ready_again(scene: Scene) -> Finding:
    """A quarantine that no failed check explains was left by a failed step: the node must have come up after it."""
    since, ready = quarantined_since(scene.node), scene.ready_since
    threshold = "the node ready again after what failed"
    if since is not None and ready is not None and ready > since:
        return _evidence(scene, Verdict.PASS, f"ready since {ready:%Y-%m-%d %H:%M} UTC", threshold)
    clears = "a boot of the node, a reimage, or resuming the operation that left it"
    return _evidence(scene, Verdict.UNKNOWN, "nothing newer than what failed", threshold, clears)


def quarantined_since(node: Node) -> datetime | None:
    """When our latest hold on the node began; None where we have none, or it says no time."""
    return max(
        (hold.since for hold in node.holds if hold.kind is HolderKind.OURS and hold.since), default=None
    )


def _evidence(scene: Scene, verdict: Verdict, value: str, threshold: str, clears: str = "") -> Finding:
    return Finding(EVIDENCE, verdict, value, threshold, scene.node.key.source, scene.now, clears)
