"""The ground that the simulated controllers share: the objects, the agenda, the machines, and the stamps of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from backends.simulated.agenda import Agenda
from backends.simulated.chance import fraction, identity, suffix
from backends.simulated.fleet_plan import FleetPlan
from backends.simulated.machines import MachineHall
from backends.simulated.objects import (
    EVENTS,
    NODES,
    PODS,
    AlreadyExists,
    Json,
    ObjectStore,
    Resource,
    timestamp,
)
from fleet.ports import Clock

CATEGORY = "node.lab/category"
IMAGE_VERSION = "node.lab/image-version"
LIFECYCLE = "node.lab/lifecycle"
DESIRED_IMAGE = "node.lab/desired-image"
HELD_BY = "node.lab/held-by"
GATE = "node.lab/gate"
GATE_TAINT = "node.lab/health-gate"
SIMULATED = "kwok.x-k8s.io/node"
GPU = "nvidia.com/gpu"
_EVENT_LIFE = 3600.0


class BackdatedClock:
    """The clock of the object store: the real one, less `age` while the fleet's past is written."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.age = timedelta(0)

    def now(self) -> datetime:
        return self._clock.now() - self.age

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, span: timedelta) -> None:
        await self._clock.sleep(span)


class Uids:
    """The uids of a fleet in their order, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given = 0

    def __call__(self) -> str:
        self._given += 1
        return identity(self._seed, "uid", self._given)


@dataclass(slots=True)
class Site:
    """What every part of the simulation stands on. `live` is false while the fleet's past is being written."""

    store: ObjectStore
    clock: BackdatedClock
    agenda: Agenda
    plan: FleetPlan
    hall: MachineHall
    live: bool = False

    @property
    def seed(self) -> int:
        return self.plan.seed

    def stamp(self, ahead: float = 0.0) -> str:
        """The clock's time as objects carry it, `ahead` seconds on."""
        return timestamp(self.clock.now() + timedelta(seconds=ahead))

    def about(self, mean: float, *words: object, spread: float = 0.15) -> float:
        """A span of about `mean` seconds, the same for the same words."""
        return mean * (1.0 + spread * (2.0 * fraction(self.seed, "span", *words) - 1.0))

    def free_pod_name(self, base: str, namespace: str, *words: object) -> str:
        """`base` with a generated ending that no pod of the namespace has."""
        turn = 0
        while True:
            name = f"{base}-{suffix(self.seed, 'pod', namespace, base, *words, turn)}"
            if self.store.get(PODS, name, namespace) is None:
                return name
            turn += 1

    def pod(self, namespace: str, name: str, uid: str) -> Json | None:
        """The pod, unless it is gone or another one has its name."""
        pod = self.store.get(PODS, name, namespace)
        return pod if pod is not None and pod["metadata"]["uid"] == uid else None

    def node(self, name: str, uid: str) -> Json | None:
        """The node, unless it is gone or has been created anew."""
        node = self.store.get(NODES, name)
        return node if node is not None and node["metadata"]["uid"] == uid else None

    def end_pod(self, pod: Json, grace: float | None = None) -> None:
        """Ask a pod to stop, as a DELETE does: at once where it was never bound, else with its grace period."""
        metadata, spec = pod["metadata"], pod.get("spec", {})
        if "deletionTimestamp" in metadata:
            return
        if not spec.get("nodeName"):
            self.store.delete(PODS, metadata["name"], metadata["namespace"])
            return
        wanted = spec.get("terminationGracePeriodSeconds") if grace is None else grace
        seconds = 30 if wanted is None else int(wanted)

        def mark(copy: Json) -> None:
            copy["metadata"]["deletionTimestamp"] = self.stamp(seconds)
            copy["metadata"]["deletionGracePeriodSeconds"] = seconds

        self.store.update(PODS, metadata["name"], mark, metadata["namespace"])

    def tell(
        self,
        resource: Resource,
        about: Json,
        reason: str,
        message: str,
        *,
        source: str,
        warning: bool = False,
    ) -> None:
        """Record an Event about an object; the same one again counts up. Forgotten after an hour."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        name = f"{metadata['name']}.{suffix(self.seed, metadata['uid'], reason, message, length=16)}"
        stamp = self.stamp()
        event: Json = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "kind": resource.kind,
                "apiVersion": resource.api_version,
                "name": metadata["name"],
                "uid": metadata["uid"] if resource is not NODES else metadata["name"],
                **({"namespace": namespace} if resource.namespaced else {}),
            },
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": source},
            "reportingComponent": source,
            "reportingInstance": "",
        }
        try:
            self.store.create(EVENTS, event)
        except AlreadyExists:
            self.store.update(EVENTS, name, lambda copy: _again(copy, stamp), namespace)
        else:
            self.agenda.after(_EVENT_LIFE, lambda: self._forget_event(name, namespace))

    def _forget_event(self, name: str, namespace: str) -> None:
        if self.store.get(EVENTS, name, namespace) is not None:
            self.store.delete(EVENTS, name, namespace)


def _again(event: Json, stamp: str) -> None:
    event["count"] = event.get("count", 1) + 1
    event["lastTimestamp"] = stamp


def condition(kind: str, status: str, reason: str, message: str, stamp: str, before: Json | None) -> Json:
    """A condition of a node or a pod; its transition time moves only where the status does."""
    same = before is not None and before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": before["lastTransitionTime"] if before and same else stamp,
    }


def condition_of(obj: Json, kind: str) -> Json | None:
    """The condition of that type, or None."""
    for each in (obj.get("status") or {}).get("conditions") or ():
        if each.get("type") == kind:
            found: Json = each
            return found
    return None
