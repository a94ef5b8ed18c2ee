"""What the API server refuses to store: names, labels, annotations, taints, events and pod changes.

The limits are Kubernetes' own: 63 characters for a label's value and name, 253 for an object's name or a key's
prefix, 256 KiB for all annotations, 1,024 characters for an event's note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from backends.simulated.objects import Json
from backends.simulated.resources import EVENTS_V1, LEASES, NODES, PODS, Resource
from backends.simulated.statuses import cause, invalid

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_ANNOTATIONS_LIMIT = 256 * 1024
_CHANGEABLE_POD_SPEC = ("activeDeadlineSeconds", "containers", "initContainers", "tolerations")


def check(resource: Resource, obj: Json, before: Json | None = None) -> None:
    """Refuse (422) an object that may not be stored; `before` is what it would replace."""
    metadata = obj["metadata"]
    causes = [*_name(metadata["name"]), *_labels(metadata), *_annotations(metadata)]
    if resource is NODES:
        causes += _taints(obj.get("spec", {}).get("taints") or [])
    elif resource is EVENTS_V1 and before is None:
        causes += _event(obj)
    elif resource is PODS and before is not None:
        causes += _pod_change(obj.get("spec", {}), before.get("spec", {}))
    elif resource is LEASES and before is not None and not metadata.get("resourceVersion"):
        causes += [_wrong("metadata.resourceVersion", "0", "must be specified for an update")]
    if causes:
        raise invalid(resource.group, resource.kind, metadata["name"], causes)


def without_empties(resource: Resource, obj: Json) -> Json:
    """The object as the server's types would write it back: false and empty fields of a node are left out."""
    metadata = obj["metadata"]
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        if name in metadata and not metadata[name]:
            del metadata[name]
    if resource is NODES:
        spec = obj.setdefault("spec", {})
        for name in ("unschedulable", "taints"):
            if name in spec and not spec[name]:
                del spec[name]
    return obj


def _wrong(field: str, value: object, why: str) -> Json:
    return cause("FieldValueInvalid", f'Invalid value: "{value}": {why}', field)


def _name(name: str) -> Iterator[Json]:
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        yield _wrong("metadata.name", name, "a lowercase RFC 1123 subdomain is required")


def _labels(metadata: Json) -> Iterator[Json]:
    for key, value in (metadata.get("labels") or {}).items():
        yield from _qualified("metadata.labels", key)
        yield from _label_value("metadata.labels", value)


def _qualified(field: str, key: str) -> Iterator[Json]:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        yield _wrong(field, key, "prefix part must be a lowercase RFC 1123 subdomain")
    if len(name) > 63:
        yield _wrong(field, key, "name part must be no more than 63 bytes")
    elif not _NAME.fullmatch(name):
        yield _wrong(field, key, "name part must begin and end with an alphanumeric character")


def _label_value(field: str, value: str) -> Iterator[Json]:
    if len(value) > 63:
        yield _wrong(field, value, "must be no more than 63 bytes")
    elif value and not _NAME.fullmatch(value):
        yield _wrong(field, value, "a valid label must begin and end with an alphanumeric character")


def _annotations(metadata: Json) -> Iterator[Json]:
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    for key in annotations:
        yield from _qualified("metadata.annotations", key.lower())
    if (
        sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
        > _ANNOTATIONS_LIMIT
    ):
        why = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        yield cause("FieldValueTooLong", why, "metadata.annotations")


def _taints(taints: list[Json]) -> Iterator[Json]:
    seen = set()
    for place, taint in enumerate(taints):
        at = f"spec.taints[{place}]"
        key, effect = taint.get("key", ""), taint.get("effect", "")
        yield from _qualified(f"{at}.key", key)
        yield from _label_value(f"{at}.value", taint.get("value", ""))
        if effect not in _EFFECTS:
            known = ", ".join(f'"{each}"' for each in _EFFECTS)
            why = f'Unsupported value: "{effect}": supported values: {known}'
            yield cause("FieldValueNotSupported", why, f"{at}.effect")
        if (key, effect) in seen:
            yield cause("FieldValueDuplicate", f'Duplicate value: "{key}:{effect}"', at)
        seen.add((key, effect))


def _event(event: Json) -> Iterator[Json]:
    for field in ("eventTime", "reportingController", "reportingInstance", "action", "reason"):
        if not event.get(field):
            yield cause("FieldValueRequired", "Required value", field)
    if len(event.get("note") or "") > 1024:
        yield _wrong("note", "", "can have at most 1024 characters")
    for field in ("reason", "action", "reportingInstance"):
        if len(event.get(field) or "") > 128:
            yield _wrong(field, "", "can have at most 128 characters")
    if event.get("type") not in ("Normal", "Warning"):
        yield _wrong("type", event.get("type", ""), "has invalid value")
    regarding, namespace = event.get("regarding") or {}, event["metadata"].get("namespace")
    if not regarding.get("namespace"):
        if namespace not in ("default", "kube-system"):
            yield _wrong("regarding.namespace", "", "does not match event.namespace")
    elif regarding["namespace"] != namespace:
        yield _wrong("regarding.namespace", regarding["namespace"], "does not match event.namespace")


def _pod_change(spec: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Json]:
    for field in sorted({*spec, *before}):
        if field not in _CHANGEABLE_POD_SPEC and spec.get(field) != before.get(field):
            yield cause("FieldValueForbidden", f"Forbidden: pod updates may not change `{field}`", "spec")
