"""Jobs and their pods as far as an active check reads them: whether they wait, run or ended, and how."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from backends.kubernetes.check_job import CONTAINER
from backends.kubernetes.shapes import ConditionEntry, KubeObject
from backends.kubernetes.stamps import read_stamp
from fleet.text import clean


class JobStatus(msgspec.Struct, gc=False, rename="camel"):
    """How far a Job is."""

    conditions: list[ConditionEntry] | None = None
    active: int | None = None


class JobShape(KubeObject, gc=False):
    """A Job of ours."""

    status: JobStatus | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        return self.metadata.labels or {}

    @property
    def notes(self) -> Mapping[str, str]:
        return self.metadata.annotations or {}

    @property
    def ended(self) -> ConditionEntry | None:
        """The condition that ended it: Complete or Failed."""
        found = (self.status.conditions if self.status is not None else None) or ()
        return next(
            (each for each in found if each.type in ("Complete", "Failed") and each.status == "True"), None
        )

    @property
    def out_of_time(self) -> bool:
        """Whether it ran for longer than it may; its pod may still be on its way out (Kubernetes 1.31 and later)."""
        found = (self.status.conditions if self.status is not None else None) or ()
        return any(
            each.type in ("Failed", "FailureTarget")
            and each.status == "True"
            and each.reason == "DeadlineExceeded"
            for each in found
        )


class Terminated(msgspec.Struct, gc=False, rename="camel"):
    """How a container ended."""

    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None


class Waiting(msgspec.Struct, gc=False):
    """Why a container has not begun."""

    reason: str | None = None
    message: str | None = None


class Running(msgspec.Struct, gc=False, rename="camel"):
    """Since when a container runs."""

    started_at: str | None = None


class ContainerState(msgspec.Struct, gc=False):
    """One of the three."""

    running: Running | None = None
    terminated: Terminated | None = None
    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct, gc=False):
    """One container of a pod; a cluster may put its own beside the check's."""

    name: str = CONTAINER
    state: ContainerState | None = None


class RunStatus(msgspec.Struct, gc=False, rename="camel"):
    """How far a pod is, and why not further."""

    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    conditions: list[ConditionEntry] | None = None
    container_statuses: list[ContainerStatus] | None = None


class RunPod(KubeObject, gc=False):
    """The pod of a check's Job."""

    status: RunStatus | None = None

    @property
    def of_job(self) -> str | None:
        """The uid of the Job that made it (Kubernetes 1.27 and later write the long label, and the short one still)."""
        labels = self.metadata.labels or {}
        return labels.get("batch.kubernetes.io/controller-uid", labels.get("controller-uid"))

    @property
    def phase(self) -> str:
        return (self.status.phase if self.status is not None else None) or "Pending"

    @property
    def began(self) -> datetime | None:
        """When its container began to run; None where that is not told."""
        stamps = (each.running.started_at for each in self._states if each.running is not None)
        return read_stamp(next(stamps, None) or "")

    @property
    def ended(self) -> Terminated | None:
        return next((each.terminated for each in self._states if each.terminated is not None), None)

    @property
    def waits_for(self) -> str:
        """Why it does not run yet, in the words of the scheduler or the kubelet; empty where nobody says."""
        for state in self._states:
            if state.waiting is not None and state.waiting.reason not in (None, "ContainerCreating"):
                return _told(state.waiting.reason, state.waiting.message)
        conditions = (self.status.conditions if self.status is not None else None) or ()
        for each in conditions:
            if each.type == "PodScheduled" and each.status == "False":
                return _told(each.reason, each.message)
        return ""

    @property
    def why(self) -> str:
        """Why it ended without a container's end: evicted, refused by the kubelet."""
        return _told(self.status.reason, self.status.message) if self.status is not None else ""

    @property
    def _states(self) -> list[ContainerState]:
        found = (self.status.container_statuses if self.status is not None else None) or ()
        return [each.state for each in found if each.state is not None and each.name == CONTAINER]


def minutes(span: timedelta) -> str:
    """A span in words: `90 s`, `15 min`."""
    seconds = round(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _told(reason: str | None, message: str | None) -> str:
    return clean(": ".join(part for part in (reason, message) if part), 300)
