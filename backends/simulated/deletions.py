"""Deleting objects: preconditions, the grace a pod is given, finalizers, and what a namespace takes with it.

A pod with a node and a grace period is only marked here; whoever plays its kubelet removes it from the store once
it has stopped, and on an unreachable node nobody does.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from backends.simulated.api_routes import Target
from backends.simulated.bodies import grace_period, is_dry
from backends.simulated.event_view import kept_as, view
from backends.simulated.list_options import ListOptions
from backends.simulated.objects import Json, ObjectStore, Stored, timestamp
from backends.simulated.resources import BY_CLAIMS, NAMESPACES, PODS, STORED, Resource
from backends.simulated.statuses import conflict, not_found
from fleet.ports import Clock

_FINISHED = ("Succeeded", "Failed")


class Deleter:
    """Removes or marks objects of the store as a request says."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def delete(self, at: Target, options: Json, query: dict[str, str]) -> Stored:
        """DELETE of one object: its last state, or its state on the way out. Refused: 404, 409 (a precondition)."""
        kept = kept_as(at.resource)
        stored = self._store.stored(kept, at.name, at.namespace)
        if stored is None:
            raise not_found(at.resource, at.name)
        _check_preconditions(at, options.get("preconditions") or {}, stored.object["metadata"])
        if is_dry(query, options):
            return view(at.resource, stored)
        grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        return view(at.resource, self._remove(kept, stored, grace_period(grace)))

    def delete_all(self, options: ListOptions, query: dict[str, str], body: Json) -> list[Stored]:
        """DELETE of a collection: every object that the selectors take."""
        rows = list(options.selection.rows(self._store))
        kept = kept_as(options.selection.resource)
        grace = grace_period(body.get("gracePeriodSeconds"))
        if not is_dry(query, body):
            rows = [self._remove(kept, stored, grace) for stored in rows]
        return [view(options.selection.resource, stored) for stored in rows]

    def evict(self, stored: Stored, grace: int | None) -> None:
        """Delete a pod as an eviction does: its condition DisruptionTarget says why it goes."""
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastTransitionTime": timestamp(self._clock.now()),
        }

        def mark(pod: Json) -> None:
            conditions: list[Any] = pod.setdefault("status", {}).setdefault("conditions", [])
            conditions[:] = [each for each in conditions if each.get("type") != "DisruptionTarget"] + [
                condition
            ]

        metadata = stored.object["metadata"]
        self._store.update(PODS, metadata["name"], mark, metadata["namespace"])
        marked = self._store.stored(PODS, metadata["name"], metadata["namespace"])
        if marked is not None:
            self._remove(PODS, marked, grace)

    def _remove(self, resource: Resource, stored: Stored, grace: int | None) -> Stored:
        metadata = stored.object["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace", "")
        left = self._grace(stored.object, grace) if resource is PODS else 0
        if left or metadata.get("finalizers"):
            return self._mark(resource, stored, left)
        if resource is NAMESPACES:
            self._empty(name)
        last = self._store.delete(resource, name, namespace)
        return Stored(stored.key, last, self._store.version)

    def _mark(self, resource: Resource, stored: Stored, grace: int) -> Stored:
        metadata = stored.object["metadata"]
        if metadata.get("deletionTimestamp") and grace >= metadata.get("deletionGracePeriodSeconds", 0):
            return stored

        def change(obj: Json) -> None:
            at = self._clock.now() + timedelta(seconds=grace)
            obj["metadata"]["deletionTimestamp"] = timestamp(at)
            obj["metadata"]["deletionGracePeriodSeconds"] = grace

        marked = self._store.update(resource, metadata["name"], change, metadata.get("namespace", ""))
        return Stored(stored.key, marked, self._store.version)

    def _grace(self, pod: Json, asked: int | None) -> int:
        spec, status = pod.get("spec") or {}, pod.get("status") or {}
        if not spec.get("nodeName") or status.get("phase") in _FINISHED:
            return 0
        return asked if asked is not None else int(spec.get("terminationGracePeriodSeconds", 30))

    def _empty(self, namespace: str) -> None:
        for resource in (*STORED, *BY_CLAIMS):
            if resource.namespaced:
                for obj in self._store.list(resource, namespace):
                    self._store.delete(resource, obj["metadata"]["name"], namespace)


def _check_preconditions(at: Target, asked: Json, metadata: Json) -> None:
    for field, word in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if asked.get(field) and asked[field] != metadata[field]:
            why = f"Precondition failed: {word} in precondition: {asked[field]}, {word} in object meta: {metadata[field]}"
            raise conflict(at.resource, at.name, why)
