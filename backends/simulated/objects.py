"""The truth of the simulated cluster: JSON objects under one global resourceVersion.

Synchronous, for one event loop. Nothing is ever changed in place: every write makes a new version beside the old
one, so a list being sent or an event waiting for a slow watcher never sees a later value. The JSON bytes of a
version are made once, which lets 10,000 nodes be listed at the speed of copying memory.

Objects are kept without `kind` and `apiVersion`: their `Resource` says both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence

from backends.simulated.kept_kind import KeptKind
from backends.simulated.resources import (
    BY_CLAIMS,
    CONFIGMAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    EVENTS,
    EVENTS_V1,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    REPLICASETS,
    RESOURCES,
    STATEFULSETS,
    STORED,
    Resource,
)
from backends.simulated.versions import Event, Json, Stored, copy_json, timestamp, timestamp_micro
from fleet.ports import Clock

__all__ = [
    "CONFIGMAPS",
    "DAEMONSETS",
    "DEPLOYMENTS",
    "EVENTS",
    "EVENTS_V1",
    "JOBS",
    "LEASES",
    "NAMESPACES",
    "NODES",
    "PDBS",
    "PODS",
    "REPLICASETS",
    "RESOURCES",
    "STATEFULSETS",
    "AlreadyExists",
    "Conflict",
    "Event",
    "Json",
    "NotFound",
    "ObjectStore",
    "Resource",
    "Stored",
    "copy_json",
    "timestamp",
    "timestamp_micro",
]


class NotFound(Exception):
    """No object has that name."""


class AlreadyExists(Exception):
    """An object has that name already."""


class Conflict(Exception):
    """The expected resourceVersion or uid is not that of the object; the text says which."""


class ObjectStore:
    """Every object of the cluster, with a history long enough for watches to catch up.

    `history` is how many events each resource keeps; a watch from before them is told 410. `new_uid` gives the
    `metadata.uid` of a new object.
    """

    def __init__(self, clock: Clock, new_uid: Callable[[], str], history: int = 20_000) -> None:
        self._clock = clock
        self._new_uid = new_uid
        self._kinds = {resource: KeptKind(history) for resource in (*STORED, *BY_CLAIMS)}
        self._pods_by_node: dict[str, dict[str, Stored]] = {}
        self._subscribers: list[Callable[[Event], None]] = []
        self._undelivered: deque[Event] = deque()
        self._delivering = False
        self.version = 1
        self.logs: dict[str, str] = {}
        """What pods printed, by their uid, for as long as they are there."""

    def get(self, resource: Resource, name: str, namespace: str = "") -> Json | None:
        """The object, to be read only, or None."""
        stored = self.stored(resource, name, namespace)
        return stored.object if stored else None

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Json]:
        """All objects of a kind, or those of one namespace, ordered by namespace and name. Read only."""
        return [stored.object for stored in self.all_stored(resource, namespace)]

    def stored(self, resource: Resource, name: str, namespace: str = "") -> Stored | None:
        """The object with its version and cached bytes, or None."""
        return self._kinds[resource].stored.get(_key(resource, namespace, name))

    def all_stored(self, resource: Resource, namespace: str | None = None) -> Sequence[Stored]:
        """What `list` gives, with versions and cached bytes."""
        kind = self._kinds[resource]
        keys = kind.keys()
        if namespace is not None and resource.namespaced:
            # "0" is the character after "/": the range of one namespace's keys.
            keys = keys[bisect_left(keys, f"{namespace}/") : bisect_left(keys, f"{namespace}0")]
        return [kind.stored[key] for key in keys]

    def count(self, resource: Resource) -> int:
        """How many objects of a kind there are."""
        return len(self._kinds[resource].stored)

    def pods_on(self, node: str) -> Sequence[Json]:
        """The pods whose `spec.nodeName` is `node`, ordered by namespace and name. Read only."""
        return [stored.object for stored in self.stored_pods_on(node)]

    def stored_pods_on(self, node: str) -> Sequence[Stored]:
        """What `pods_on` gives, with versions and cached bytes."""
        return [stored for _, stored in sorted(self._pods_by_node.get(node, {}).items())]

    def create(self, resource: Resource, obj: Json) -> Json:
        """Add an object, filling in uid, creationTimestamp, resourceVersion and, where kept, generation.

        The store takes `obj` over: it may share parts with a template, and is not to be changed afterwards.
        Raises AlreadyExists.
        """
        metadata = {
            **obj.get("metadata", {}),
            "uid": self._new_uid(),
            "creationTimestamp": timestamp(self._clock.now()),
            "resourceVersion": str(self.version + 1),
        }
        key = _key(resource, metadata.get("namespace", ""), metadata["name"])
        kind = self._kinds[resource]
        if key in kind.stored:
            raise AlreadyExists(key)
        if resource.has_generation:
            metadata["generation"] = 1
        self.version += 1
        fresh = {name: value for name, value in obj.items() if name not in ("kind", "apiVersion", "metadata")}
        stored = Stored(key, {"metadata": metadata, **fresh}, self.version)
        kind.insert(stored)
        self._index(resource, None, stored)
        self._publish(Event("ADDED", resource, stored))
        return stored.object

    def update(
        self,
        resource: Resource,
        name: str,
        change: Callable[[Json], None],
        namespace: str = "",
        *,
        version: str | None = None,
    ) -> Json:
        """Hand `change` a copy to edit and keep the result; a change that changes nothing writes nothing.

        Raises NotFound, and Conflict where `version` is given and is no longer the object's resourceVersion.
        """
        before = self._existing(resource, name, namespace)
        _expect(before, version=version)
        after = copy_json(before.object)
        change(after)
        if after == before.object:
            return before.object
        return self._write(resource, before, after)

    def replace(self, resource: Resource, obj: Json) -> Json:
        """Put `obj` in the place of its namesake; its resourceVersion and uid, where set, must still hold.

        The store takes `obj` over. Raises NotFound, Conflict.
        """
        metadata = obj["metadata"]
        before = self._existing(resource, metadata["name"], metadata.get("namespace", ""))
        _expect(before, version=metadata.get("resourceVersion"), uid=metadata.get("uid"))
        kept = {name: before.object["metadata"][name] for name in ("uid", "creationTimestamp")}
        after = {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
        after["metadata"] = {**metadata, **kept, "resourceVersion": str(before.version)}
        if resource.has_generation:
            after["metadata"]["generation"] = before.object["metadata"]["generation"]
        if after == before.object:
            return before.object
        return self._write(resource, before, after)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> Json:
        """Remove an object at once and give its last state. Grace periods are for those who call this later.

        Raises NotFound, and Conflict where `uid` or `version` is given and is not the object's.
        """
        before = self._existing(resource, name, namespace)
        _expect(before, version=version, uid=uid)
        self.version += 1
        last = {
            **before.object,
            "metadata": {**before.object["metadata"], "resourceVersion": str(self.version)},
        }
        self._kinds[resource].remove(before.key)
        self.logs.pop(str(before.object["metadata"].get("uid")), None)
        self._index(resource, before, None)
        self._publish(Event("DELETED", resource, Stored(before.key, last, self.version), before))
        return last

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every later event, in order; the function returned ends that.

        A callback may write: the events of its writes follow once everybody has seen the present one.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def since(self, resource: Resource, version: int) -> Sequence[Event] | None:
        """The events of a kind after `version`, oldest first; None where some of them are forgotten."""
        kind = self._kinds[resource]
        if version < kind.forgotten:
            return None
        late: list[Event] = []
        for event in reversed(kind.history):
            if event.version <= version:
                break
            late.append(event)
        late.reverse()
        return late

    def oldest(self, resource: Resource) -> int:
        """The lowest version that a watch of this kind may still start from."""
        return self._kinds[resource].forgotten

    def forget_history(self) -> None:
        """Compact: no version given out until now can be watched from any more."""
        self.version += 1
        for kind in self._kinds.values():
            kind.history.clear()
            kind.forgotten = self.version

    def _existing(self, resource: Resource, name: str, namespace: str) -> Stored:
        stored = self.stored(resource, name, namespace)
        if stored is None:
            raise NotFound(_key(resource, namespace, name))
        return stored

    def _write(self, resource: Resource, before: Stored, after: Json) -> Json:
        self.version += 1
        after["metadata"]["resourceVersion"] = str(self.version)
        if resource.has_generation and after.get("spec") != before.object.get("spec"):
            after["metadata"]["generation"] = before.object["metadata"]["generation"] + 1
        stored = Stored(before.key, after, self.version)
        self._kinds[resource].stored[before.key] = stored
        self._index(resource, before, stored)
        self._publish(Event("MODIFIED", resource, stored, before))
        return after

    def _index(self, resource: Resource, before: Stored | None, after: Stored | None) -> None:
        if resource is not PODS:
            return
        if before and (node := before.object.get("spec", {}).get("nodeName")):
            self._pods_by_node[node].pop(before.key, None)
        if after and (node := after.object.get("spec", {}).get("nodeName")):
            self._pods_by_node.setdefault(node, {})[after.key] = after

    def _publish(self, event: Event) -> None:
        self._kinds[event.resource].remember(event)
        self._undelivered.append(event)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                following = self._undelivered.popleft()
                for subscriber in tuple(self._subscribers):
                    subscriber(following)
        finally:
            self._delivering = False


def _key(resource: Resource, namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if resource.namespaced else name


def _expect(stored: Stored, *, version: str | None = None, uid: str | None = None) -> None:
    metadata = stored.object["metadata"]
    if version and version != metadata["resourceVersion"]:
        raise Conflict(
            "the object has been modified; please apply your changes to the latest version and try again"
        )
    if uid and uid != metadata["uid"]:
        raise Conflict(
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata['uid']}"
        )
