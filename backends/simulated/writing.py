"""Creating, replacing and patching objects over the API: defaults, checks, subresources, dry runs."""

from __future__ import annotations

from random import Random
from typing import Any

from backends.simulated.api_routes import Target
from backends.simulated.bodies import check_shape, sent_object
from backends.simulated.event_view import from_kept, kept_as, to_kept
from backends.simulated.objects import (
    AlreadyExists,
    Conflict,
    Json,
    NotFound,
    ObjectStore,
    Stored,
    copy_json,
    timestamp,
)
from backends.simulated.patches import apply_patch
from backends.simulated.resources import LEASES, NAMESPACES, PODS, Resource
from backends.simulated.statuses import Refused, already_exists, bad_request, conflict, not_found
from backends.simulated.validation import check, without_empties
from fleet.ports import Clock

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class Writer:
    """Changes the store as a request says; every method gives the object as it is, or as it would be, afterwards."""

    def __init__(self, store: ObjectStore, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random

    def create(self, at: Target, body: Any, *, dry: bool) -> Stored:
        """POST to a collection. Refused: 400, 404 (no such namespace), 409 (there already), 422."""
        obj = sent_object(at.resource, body, at.namespace)
        metadata = obj["metadata"]
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + "".join(self._random.choices(_SUFFIX, k=5))
        if not metadata.get("name"):
            raise bad_request("name or generateName is required")
        if metadata.get("resourceVersion"):
            raise Refused(500, "", "resourceVersion should not be set on objects to be created")
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
            metadata.pop(field, None)
        check(at.resource, obj)
        if at.resource.namespaced and self._store.get(NAMESPACES, at.namespace) is None:
            raise not_found(NAMESPACES, at.namespace)
        kept, obj = kept_as(at.resource), without_empties(at.resource, to_kept(at.resource, obj))
        _fill_in(at.resource, obj)
        if dry:
            return self._as_if_created(at.resource, obj)
        try:
            return self._now(at.resource, self._store.create(kept, obj))
        except AlreadyExists as error:
            raise already_exists(at.resource, metadata["name"]) from error

    def replace(self, at: Target, body: Any, *, dry: bool) -> tuple[Stored, bool]:
        """PUT of an object or its status; True where that made it. Refused: 400, 404, 409 (stale), 422."""
        obj = sent_object(at.resource, body, at.namespace)
        _check_name(at, obj)
        if at.resource is LEASES and self._store.get(LEASES, at.name, at.namespace) is None:
            # The server creates a lease that is put where there was none.
            return self.create(at, body, dry=dry), True
        return self._put(at, obj, dry=dry), False

    def patch(self, at: Target, content_type: str, body: Any, *, dry: bool) -> Stored:
        """PATCH of an object or its status. Refused: 400, 404, 409 (its resourceVersion or uid is stale), 422."""
        before = self._served(at)
        obj = apply_patch(content_type, before, body)
        check_shape(at.resource, obj, patched=True)
        _check_name(at, obj)
        return self._put(at, obj, dry=dry)

    def _served(self, at: Target) -> Json:
        kept = self._store.get(kept_as(at.resource), at.name, at.namespace)
        if kept is None:
            raise not_found(at.resource, at.name)
        return from_kept(at.resource, kept)

    def _put(self, at: Target, obj: Json, *, dry: bool) -> Stored:
        before = self._served(at)
        obj = _within(at, obj, before)
        check(at.resource, obj, before)
        obj = without_empties(at.resource, to_kept(at.resource, obj))
        metadata = obj["metadata"]
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            metadata.pop(field, None)
            if field in before["metadata"]:
                metadata[field] = before["metadata"][field]
        try:
            if dry:
                self._check_current(at, metadata, before["metadata"])
                return Stored(
                    "", {**obj, "metadata": {**before["metadata"], **metadata}}, self._store.version
                )
            put = self._store.replace(kept_as(at.resource), obj)
        except Conflict as error:
            raise conflict(at.resource, at.name, str(error)) from error
        except NotFound as error:
            raise not_found(at.resource, at.name) from error
        if (
            metadata.get("deletionTimestamp")
            and before["metadata"].get("finalizers")
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
        ):
            put = self._store.delete(kept_as(at.resource), at.name, at.namespace)
        return self._now(at.resource, put)

    def _check_current(self, at: Target, metadata: Json, current: Json) -> None:
        for field in ("resourceVersion", "uid"):
            if metadata.get(field) and metadata[field] != current[field]:
                raise conflict(at.resource, at.name)

    def _as_if_created(self, resource: Resource, obj: Json) -> Stored:
        metadata = obj["metadata"]
        if self._store.get(kept_as(resource), metadata["name"], metadata.get("namespace", "")) is not None:
            raise already_exists(resource, metadata["name"])
        made = {
            "uid": "00000000-0000-0000-0000-000000000000",
            "creationTimestamp": timestamp(self._clock.now()),
        }
        return Stored("", from_kept(resource, {**obj, "metadata": {**metadata, **made}}), self._store.version)

    def _now(self, resource: Resource, kept: Json) -> Stored:
        return Stored("", from_kept(resource, kept), self._store.version)


def _check_name(at: Target, obj: Json) -> None:
    name = obj["metadata"].setdefault("name", at.name)
    if name != at.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({at.name})")


def _within(at: Target, obj: Json, before: Json) -> Json:
    """The change cut down to what its address may change: the status, or everything but the status."""
    if at.subresource == "status":
        return {**before, "metadata": obj["metadata"], "status": copy_json(obj.get("status", {}))}
    if not at.resource.has_status:
        return obj
    kept = {name: value for name, value in obj.items() if name != "status"}
    return {**kept, "status": before["status"]} if "status" in before else kept


def _fill_in(resource: Resource, obj: Json) -> None:
    """The defaults that clients rely on finding."""
    if resource is PODS:
        spec = obj.setdefault("spec", {})
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)
        spec.setdefault("schedulerName", "default-scheduler")
        obj["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
    elif resource is NAMESPACES:
        labels = obj["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
        obj["status"] = {"phase": "Active"}
    elif resource.has_generation:
        obj.pop("status", None)
