"""The gate checks that need no agent on the node: pure, from fresh facts, telemetry, the category and the site's rules.

Each says what it saw, what it wanted, where that came from and what would clear it. What can't be read is UNKNOWN. The
thresholds are those of fleets that publish theirs (NVIDIA Health Validation, Azure, Meta); the category may set its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.category import Category
from fleet.health import Finding, Verdict
from fleet.node import Node, Readiness
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.telemetry_feed import Readings
from fleet.text import clean

_LIMIT = 200
HEALTH_CHECK = "HealthCheck"
"""The condition that stands for Slurm's HealthCheckProgram."""

_OF_THEIR_OWN = ("Ready", HEALTH_CHECK)
"""Conditions that have a check of their own."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a check may look at. `limit` and `window` are the category's own for this check."""

    facts: NodeFacts
    category: Category
    policy: Policy
    readings: Readings
    now: datetime
    limit: float | None = None
    window: timedelta | None = None

    @property
    def node(self) -> Node:
        return self.facts.node

    @property
    def expected_gpus(self) -> int | None:
        """GPUs the node should have: the category's word, else its capacity; None where neither says any."""
        if self.category.expected_gpus is not None:
            return self.category.expected_gpus
        return self.node.gpus_capacity or None

    @property
    def ready_since(self) -> datetime | None:
        """When the node last became ready; what was measured before is not about this boot."""
        return next(
            (item.since for item in self.node.conditions if item.type == "Ready" and not item.bad), None
        )


Check = Callable[[Scene], Finding]
Applies = Callable[[Scene], Finding | None]
"""A check that some nodes have no use for: None there."""


def ready(scene: Scene) -> Finding:
    """Its agent says that it can take work, and nobody is deleting it."""
    verdicts = {
        Readiness.READY: Verdict.PASS,
        Readiness.NOT_READY: Verdict.FAIL,
        Readiness.UNKNOWN: Verdict.UNKNOWN,
    }
    if scene.node.deleting:
        return _seen(scene, "ready", Verdict.FAIL, "being deleted", "ready")
    value = scene.node.readiness
    clears = {
        Verdict.FAIL: "the node's agent reporting ready",
        Verdict.UNKNOWN: "the node's agent being heard again",
    }
    return _seen(scene, "ready", verdicts[value], value.value, "ready", clears.get(verdicts[value], ""))


def conditions(scene: Scene) -> Finding:
    """No condition says that something is wrong. Types whose polarity nobody published are passed over."""
    others = [item for item in scene.node.conditions if item.type not in _OF_THEIR_OWN]
    bad = [item for item in others if item.bad]
    silent = [item for item in others if item.bad is None and item.status.lower() == "unknown"]
    named = ", ".join(f"{item.type} ({item.reason})" if item.reason else item.type for item in bad or silent)
    if bad:
        return _seen(
            scene, "conditions", Verdict.FAIL, named, "none bad", "whoever set them taking them back"
        )
    if silent:
        return _seen(
            scene, "conditions", Verdict.UNKNOWN, named, "none bad", "the node's agent being heard again"
        )
    return _seen(scene, "conditions", Verdict.PASS, "none bad", "none bad")


def gpus(scene: Scene) -> Finding:
    """As many GPUs can be asked for as the node should have."""
    expected, offered, sliced = scene.expected_gpus, scene.node.gpus_allocatable, scene.node.mig_allocatable
    if expected is None:
        return _seen(
            scene,
            "gpus",
            Verdict.UNKNOWN,
            _count(offered),
            "not known",
            "expected_gpus in the category's configuration",
        )
    wanted = f"{expected} GPUs"
    if sliced and (offered or 0) < expected:
        value = f"{_count(offered)} and {sliced} MIG instances"
        return _seen(
            scene, "gpus", Verdict.UNKNOWN, value, wanted, "counting them by telemetry", needed=False
        )
    if offered is None and expected:
        return _seen(
            scene, "gpus", Verdict.UNKNOWN, "none advertised yet", wanted, "the device plugin running there"
        )
    if (offered or 0) == expected:
        return _seen(scene, "gpus", Verdict.PASS, _count(offered or 0), wanted)
    return _seen(
        scene,
        "gpus",
        Verdict.FAIL,
        _count(offered),
        wanted,
        "the device plugin advertising them all; a GPU that is lost needs a reset or a reboot",
    )


def image(scene: Scene) -> Finding:
    """The image that the node itself shows is the one wanted of it."""
    running = scene.node.image.running
    desired = scene.node.image.desired or scene.category.desired_image
    if desired is None:
        return _seen(
            scene, "image", Verdict.PASS, running or "not shown", "no desired image declared", needed=False
        )
    if running is None:
        clears = "the label or field that reports the running image"
        return _seen(scene, "image", Verdict.UNKNOWN, "not shown", desired, clears)
    same = running == desired
    return _seen(
        scene, "image", Verdict.PASS if same else Verdict.FAIL, running, desired, "" if same else "a reimage"
    )


def driver(scene: Scene) -> Finding:
    """The GPU driver is the category's. `560.35` also stands for `560.35.03`."""
    told = scene.node.software.driver
    shown = {told} if told else {gpu.driver for gpu in scene.readings.gpus}
    clears = "GPU feature discovery or the exporter reporting the driver"
    return _version(scene, "driver", shown, scene.category.driver, clears, "a reimage, or a driver upgrade")


def cuda(scene: Scene) -> Finding:
    """The CUDA runtime is the category's. `12.8` also stands for `12.8.1`."""
    clears = "GPU feature discovery reporting the CUDA runtime"
    shown = {scene.node.software.cuda}
    return _version(scene, "cuda", shown, scene.category.cuda, clears, "a reimage")


def health_check(scene: Scene) -> Finding | None:
    """Slurm's HealthCheckProgram says nothing against the node. None where the node has no such thing."""
    said = next((item for item in scene.node.conditions if item.type == HEALTH_CHECK), None)
    if said is None:
        return None
    wants, clears = "nothing against it", "the health check taking its Reason back"
    value = " ".join(part for part in (said.reason, said.message) if part) or said.status
    if said.bad:
        return _seen(scene, "health-check", Verdict.FAIL, value, wants, clears)
    if said.bad is False:
        return _seen(scene, "health-check", Verdict.PASS, value, wants)
    if said.status.lower() == "unknown":
        return _seen(scene, "health-check", Verdict.UNKNOWN, value, wants, "the controller being heard again")
    return _seen(scene, "health-check", Verdict.WARN, f"{said.status}: {value}", wants, clears)


def _version(
    scene: Scene, check: str, shown: set[str], declared: str | None, unshown: str, clears: str
) -> Finding:
    """Whether every version shown is the declared one, or one of its own."""
    running = sorted(version for version in shown if version)
    value = ", ".join(running) or "not shown"
    if not declared:
        return _seen(scene, check, Verdict.PASS, value, f"no {_NAMES[check]} declared", needed=False)
    if not running:
        return _seen(scene, check, Verdict.UNKNOWN, value, declared, unshown)
    same = all(version == declared or version.startswith(f"{declared}.") for version in running)
    return _seen(
        scene, check, Verdict.PASS if same else Verdict.FAIL, value, declared, "" if same else clears
    )


_NAMES = {"driver": "driver", "cuda": "CUDA"}


FROM_FACTS: Mapping[str, Check | Applies] = {
    "ready": ready,
    "conditions": conditions,
    "gpus": gpus,
    "image": image,
    "driver": driver,
    "cuda": cuda,
    "health-check": health_check,
}
"""The checks that the orchestrator's facts decide, by name."""


def _seen(
    scene: Scene,
    check: str,
    verdict: Verdict,
    value: str,
    threshold: str,
    clears: str = "",
    *,
    needed: bool = True,
) -> Finding:
    """A finding from what the orchestrator said just now."""
    return Finding(
        check,
        verdict,
        clean(value, _LIMIT),
        clean(threshold, _LIMIT),
        scene.node.key.source,
        scene.now,
        clears,
        needed,
    )


def _count(gpus: int | None) -> str:
    return "not known" if gpus is None else f"{gpus} GPU" if gpus == 1 else f"{gpus} GPUs"
