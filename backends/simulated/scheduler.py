"""The scheduler: pending pods to nodes with room, and a reason where there is none.

It wakes when a pod appears or room may have appeared, never by itself. Like kube-scheduler it looks at a sample of a large
cluster; among the nodes that fit it fills the fullest, as GPU fleets do, away from pods of the same owner.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

from backends.simulated.objects import PODS, Event, Json
from backends.simulated.placement import Room, amounts, refusals, requests_of, unschedulable_message
from backends.simulated.pod_shapes import controller_of, phase_of
from backends.simulated.site import GPU, Site, condition

_SOON = 0.05
_AGAIN = 1.0
_SAMPLE = 100
Key = tuple[str, str]


class Scheduler:
    """One default-scheduler. Keeps what is free on each node as pods and nodes change."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._rooms: dict[str, Room] = {}
        self._owners: dict[str, dict[str, int]] = {}
        self._fresh: dict[Key, None] = {}
        self._refused: dict[Key, None] = {}
        self._awake = False
        self._retrying = False
        self._turn = 0
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether nobody schedules, as on a cluster whose scheduler is down."""
        return self._stopped

    def stop(self, *, stopped: bool) -> None:
        """Let nobody schedule, or have everything that waits looked at again."""
        self._stopped = stopped
        if not stopped:
            if self._fresh:
                self._wake()
            self._retry()

    def on_node(self, event: Event) -> None:
        """Learn what a node admits and has."""
        name = event.object["metadata"]["name"]
        if event.type == "DELETED":
            self._rooms.pop(name, None)
            return
        node = event.object
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name)
            for pod in self._site.store.pods_on(name):
                if _occupies(pod):
                    room.take(requests_of(pod["spec"]))
        room.labels = node["metadata"].get("labels") or {}
        room.taints = (node.get("spec") or {}).get("taints") or ()
        room.unschedulable = bool((node.get("spec") or {}).get("unschedulable"))
        room.allocatable = amounts((node.get("status") or {}).get("allocatable"))
        self._retry()

    def on_pod(self, event: Event) -> None:
        """Count pods in and out of their nodes, and take up pending ones."""
        pod = event.object
        before = event.previous.object if event.previous else None
        was = before is not None and _occupies(before)
        now = event.type != "DELETED" and _occupies(pod)
        if was != now:
            self._count(pod if now else before or pod, 1 if now else -1)
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        if event.type == "ADDED" and not pod["spec"].get("nodeName") and phase_of(pod) == "Pending":
            self._fresh[key] = None
            self._wake()
        elif event.type == "DELETED":
            self._fresh.pop(key, None)
            self._refused.pop(key, None)

    def _count(self, pod: Json, sign: int) -> None:
        node = pod["spec"]["nodeName"]
        if owner := controller_of(pod):
            uid = owner["uid"]
            if uid not in self._owners:
                self._owners[uid] = {}
            placed = self._owners[uid]
            placed[node] = placed.get(node, 0) + sign
        # A node learnt of later counts its pods when it appears.
        if room := self._rooms.get(node):
            room.take(requests_of(pod["spec"]), sign)
        if sign < 0:
            self._retry()

    def _wake(self) -> None:
        if self._site.live and not self._awake:
            self._awake = True
            self._site.agenda.after(_SOON, self._place_fresh)

    def _retry(self) -> None:
        if self._site.live and self._refused and not self._retrying:
            self._retrying = True
            self._site.agenda.after(_AGAIN, self._place_refused)

    def _place_fresh(self) -> None:
        self._awake = False
        if self._stopped:
            return
        waiting, self._fresh = self._fresh, {}
        self._place(waiting)

    def _place_refused(self) -> None:
        self._retrying = False
        if self._stopped:
            return
        waiting, self._refused = self._refused, {}
        self._place(waiting)

    def _place(self, waiting: dict[Key, None]) -> None:
        hopeless: dict[str, str] = {}
        for key in waiting:
            pod = self._site.store.get(PODS, key[1], key[0])
            if pod is None or pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
                continue
            spec = pod["spec"]
            shape = json.dumps(
                [spec.get(part) for part in ("nodeSelector", "affinity", "tolerations", "containers")],
                sort_keys=True,
            )
            room = None if shape in hopeless else self._room_for(pod)
            if room is not None:
                self._bind(pod, room)
                continue
            if shape not in hopeless:
                hopeless[shape] = self._why_not(pod)
            self._refuse(pod, key, hopeless[shape])

    def _room_for(self, pod: Json) -> Room | None:
        spec, requests = pod["spec"], requests_of(pod["spec"])
        wanted = [(name, count) for name, count in requests.items() if count]
        rooms = list(self._rooms.values())
        start = self._turn % len(rooms) if len(rooms) > _SAMPLE else 0
        fitting = (
            room
            for room in rooms[start:] + rooms[:start]
            if all(room.free(name) >= count for name, count in wanted) and not refusals(spec, requests, room)
        )
        found = list(islice(fitting, _SAMPLE))
        if not found:
            return None
        self._turn += len(found)
        owner = controller_of(pod)
        kin = self._owners.get(owner["uid"], {}) if owner else {}
        return min(found, key=lambda room: (kin.get(room.name, 0), room.free(GPU), room.name))

    def _bind(self, pod: Json, room: Room) -> None:
        metadata, stamp = pod["metadata"], self._site.stamp()

        def bind(copy: Json) -> None:
            copy["spec"]["nodeName"] = room.name
            status = copy.setdefault("status", {})
            status["conditions"] = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp}]

        bound = self._site.store.update(PODS, metadata["name"], bind, metadata["namespace"])
        message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {room.name}"
        self._site.tell(PODS, bound, "Scheduled", message, source="default-scheduler")

    def _why_not(self, pod: Json) -> str:
        spec, requests = pod["spec"], requests_of(pod["spec"])
        reasons: Counter[str] = Counter()
        for room in self._rooms.values():
            reasons.update(refusals(spec, requests, room))
        return unschedulable_message(len(self._rooms), reasons.items())

    def _refuse(self, pod: Json, key: Key, message: str) -> None:
        self._refused[key] = None
        known = (pod.get("status") or {}).get("conditions") or ()
        scheduled = next((each for each in known if each.get("type") == "PodScheduled"), None)
        if scheduled is not None and scheduled.get("message") == message:
            return
        stamp = self._site.stamp()
        why = condition("PodScheduled", "False", "Unschedulable", message, stamp, scheduled)

        def write(copy: Json) -> None:
            copy.setdefault("status", {})["conditions"] = [why]

        self._site.store.update(PODS, key[1], write, key[0])
        self._site.tell(PODS, pod, "FailedScheduling", message, source="default-scheduler", warning=True)


def _occupies(pod: Json) -> bool:
    """Whether the pod takes up room: bound and not finished. One on its way out still does."""
    return bool(pod["spec"].get("nodeName")) and phase_of(pod) not in ("Succeeded", "Failed")
