"""The ground of a drill on a Kubernetes cluster (`fleet.drill_ground.DrillGround`): its namespace, workload and budget, and
the hardware that its node pretends to have.

A KWOK node has no GPUs: they are written into its status here. A simulated fleet has machines, which are asked to break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from backends.kubernetes.connection import MERGE_PATCH, Api
from backends.kubernetes.drill_clearing import Clearing
from backends.kubernetes.drill_objects import (
    BUDGET,
    NAMESPACE,
    DrillKeys,
    WorkPod,
    budget_manifest,
    namespace_manifest,
    node_of,
    workload_manifest,
)
from backends.kubernetes.errors import AlreadyThere
from backends.kubernetes.gpu_counts import GPU, whole
from backends.kubernetes.guarded import MANAGED, node_path
from backends.kubernetes.node_edit import NodeObject, read_node
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.shapes import KubeObject, Reading
from backends.kubernetes.stamps import read_stamp, stamp
from fleet.drill import Arranged, Arrangement, Drill
from fleet.drill_ground import Leftover, PodSight
from fleet.errors import Blocked, Denied, FleetError, Garbled, Missing, Rejected
from fleet.node import NodeKey
from fleet.ports import Clock
from fleet.text import clean

BEAT = timedelta(seconds=10)
SILENT_AFTER = timedelta(minutes=2)
"""A drill that has shown no life for so long is left over, wherever it ran."""
_TOO_FEW = "too_few_gpus"
_NAMESPACES = Reading(KubeObject)
_PODS = Reading(WorkPod)


class Faults(Protocol):
    """Breaks and mends machines of a simulated fleet. Raises FleetError."""

    async def inject(self, fault: str, node: NodeKey) -> str: ...

    async def mend(self, node: NodeKey) -> str: ...


@dataclass(frozen=True, slots=True)
class WalkedBy:
    """Who walks, and from which process of which machine; `alive` says whether a process of this machine lives."""

    by: str
    host: str
    process: int
    alive: Callable[[int], bool]


class KubernetesDrillGround:
    """The ground of one walk: `id` is unique to it, and names its namespace and its node."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        drill: Drill,
        walked: WalkedBy,
        faults: Faults,
        *,
        id: str,  # noqa: A002 - what it is
        outside: str,
        prefix: str = "node.lab/",
    ) -> None:
        self._api = api
        self._clock = clock
        self._drill = drill
        self._walked = walked
        self._faults = faults
        self._keys = OurKeys(prefix)
        self._notes = DrillKeys(self._keys)
        self._namespace = f"{NAMESPACE}{id}"
        self._outside = outside
        self._node = NodeKey(api.source, node_of(self._namespace))
        self._simulated: bool | None = None
        self._offers = drill.gpus
        self._beaten = 0.0

    @property
    def namespace(self) -> str:
        return self._namespace

    @property
    def node(self) -> NodeKey:
        """The walk's own node, whether it is there or not."""
        return self._node

    @property
    def outside(self) -> str:
        return self._outside

    async def leftovers(self) -> Sequence[Leftover]:
        body = await self._api.get("/api/v1/namespaces", (("labelSelector", self._notes.drill),))
        found = _NAMESPACES.page(body, about="namespaces").items
        return tuple(
            self._leftover(each)
            for each in found
            if each.metadata.name.startswith(NAMESPACE) and each.metadata.name != self._namespace
        )

    async def remove(self, left: Leftover) -> Sequence[str]:
        still = await Clearing(self._api, self._clock, left.namespace).clear()
        await self._mend(NodeKey(self._node.source, left.node))
        return still

    async def prepare(self) -> None:
        now = stamp(self._clock.now())
        walked, notes = self._walked, self._notes
        said = {
            notes.by: walked.by,
            notes.host: walked.host,
            notes.process: str(walked.process),
            notes.started: now,
            notes.alive: now,
        }
        await self._create(
            "/api/v1/namespaces", namespace_manifest(self._namespace, self._drill.name, said, notes)
        )
        self._beaten = self._clock.monotonic()

    async def attend(self) -> None:
        if self._clock.monotonic() - self._beaten >= BEAT.total_seconds():
            self._beaten = self._clock.monotonic()
            note = {"metadata": {"annotations": {self._notes.alive: stamp(self._clock.now())}}}
            await self._patch(f"/api/v1{self._inside}", note)
        if not await self._is_simulated() and (node := await self._read()) is not None:
            await self._equip(node)

    async def arrange(self, arrangement: Arrangement) -> bool:
        match arrangement.what:
            case Arranged.WORK:
                return await self._start_work()
            case Arranged.BUDGET:
                path = f"/apis/policy/v1{self._inside}/poddisruptionbudgets"
                await self._create(path, budget_manifest(self._namespace))
                return True
            case Arranged.NO_BUDGET:
                return await self._drop_budget()
            case Arranged.WANT:
                return await self._want(arrangement.word)
            case Arranged.FEWER_GPUS:
                return await self._offer(self._drill.gpus - 1)
            case Arranged.ALL_GPUS:
                return await self._offer(self._drill.gpus)
            case Arranged.FAULT | Arranged.MEND:
                return await self._break(arrangement)

    async def pods(self) -> Sequence[PodSight]:
        body = await self._api.get(f"/api/v1{self._inside}/pods")
        return tuple(pod.sight() for pod in _PODS.page(body, about=self._namespace).items)

    async def clean_up(self) -> Sequence[str]:
        left = await Clearing(self._api, self._clock, self._namespace).clear()
        await self._mend(self._node)
        return left

    @property
    def _inside(self) -> str:
        return f"/namespaces/{quote(self._namespace, safe='')}"

    def _leftover(self, found: KubeObject) -> Leftover:
        notes: Mapping[str, str] = found.metadata.annotations or {}
        keys = self._notes
        by = clean(notes.get(keys.by, ""), 120)
        heard = read_stamp(notes.get(keys.alive, ""))
        live = ""
        if heard is not None and self._clock.now() - heard < SILENT_AFTER:
            process = whole(notes.get(keys.process, ""))
            here = notes.get(keys.host) == self._walked.host
            if not here or (process is not None and self._walked.alive(process)):
                live = f"{by or 'somebody'}'s drill is under way there: left alone"
        labels = found.metadata.labels or {}
        name = found.metadata.name
        return Leftover(
            name, node_of(name), labels.get(keys.drill, ""), by, read_stamp(notes.get(keys.started, "")), live
        )

    async def _is_simulated(self) -> bool:
        """Whether machines can be asked to break: a real API server has no such address."""
        if self._simulated is None:
            try:
                await self._api.get("/sim/faults")
                self._simulated = True
            except (Missing, Denied, Rejected, Garbled):
                self._simulated = False
        return self._simulated

    async def _read(self) -> NodeObject | None:
        try:
            return read_node(await self._api.get(node_path(self._node.name)), about=self._node.name)
        except Missing:
            return None

    async def _offer(self, gpus: int) -> bool:
        """Have the node advertise so many GPUs from now on."""
        self._offers = gpus
        node = await self._read()
        if node is None:
            return False
        if not await self._is_simulated():
            return await self._equip(node)
        if gpus < self._drill.gpus:
            await self._faults.inject(_TOO_FEW, self._node)
        else:
            await self._faults.mend(self._node)
        return True

    async def _equip(self, node: NodeObject) -> bool:
        """Write the GPUs of a node without a machine, once it has reported itself. False where it has not yet.

        It is marked as a drill's first: no other node may be made with these GPUs because this one has them.
        """
        if node.annotations.get(self._keys.drill) != self._namespace:
            mark = {"metadata": {"annotations": {self._keys.drill: self._namespace}}}
            await self._patch(node_path(self._node.name), mark)
        status = node.status
        capacity: Mapping[str, Any] = (status.capacity if status else None) or {}
        allocatable: Mapping[str, Any] = (status.allocatable if status else None) or {}
        if "cpu" not in allocatable:
            return False
        if (whole(capacity.get(GPU)), whole(allocatable.get(GPU))) != (self._drill.gpus, self._offers):
            offers = {
                "capacity": {GPU: str(self._drill.gpus)},
                "allocatable": {GPU: str(self._offers)},
            }
            await self._patch(f"{node_path(self._node.name)}/status", {"status": offers})
        return True

    async def _start_work(self) -> bool:
        if await self._read() is None:
            return False
        work = workload_manifest(self._namespace, self._node.name, self._drill.pod_gpus, self._keys)
        await self._create(f"/apis/apps/v1{self._inside}/deployments", work)
        return True

    async def _want(self, image: str) -> bool:
        if await self._read() is None:
            return False
        wish = {f"{self._keys.prefix}desired-image": image}
        await self._patch(node_path(self._node.name), {"metadata": {"annotations": wish}})
        return True

    async def _break(self, arrangement: Arrangement) -> bool:
        if not await self._is_simulated():
            raise Blocked(f"the fault {arrangement.word} can be made on a simulated fleet only")
        if await self._read() is None:
            return False
        if arrangement.what is Arranged.MEND:
            await self._faults.mend(self._node)
        else:
            await self._faults.inject(arrangement.word, self._node)
        return True

    async def _mend(self, node: NodeKey) -> None:
        """Take the faults of a simulated machine back, where its fleet can still be asked."""
        try:
            if await self._is_simulated():
                await self._faults.mend(node)
        except FleetError:
            return

    async def _drop_budget(self) -> bool:
        path = f"/apis/policy/v1{self._inside}/poddisruptionbudgets/{BUDGET}"
        try:
            await self._api.send("DELETE", path)
        except Missing:
            return True
        return True

    async def _create(self, path: str, manifest: bytes) -> None:
        try:
            await self._api.send("POST", path, manifest, query=MANAGED)
        except AlreadyThere:
            return

    async def _patch(self, path: str, patch: object) -> None:
        await self._api.send(
            "PATCH", path, msgspec.json.encode(patch), content_type=MERGE_PATCH, query=MANAGED
        )
