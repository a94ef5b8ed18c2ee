"""The three patch formats of the API, each from an object and a patch to a new object.

Merge is RFC 7386, json-patch RFC 6902, strategic the API conventions' own: it merges the lists that the types
declare a merge key for and replaces all others. `spec.taints` is one of the others, which is the trap that
makes a resourceVersion in the patch necessary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backends.simulated.objects import Json, copy_json
from backends.simulated.statuses import Refused, bad_request

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_MERGE_KEYS = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "topologySpreadConstraints": "topologyKey",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_SETS = {"finalizers", "podCIDRs"}


def apply_patch(content_type: str, obj: Json, patch: Any) -> Json:
    """The patched object; `obj` and `patch` stay as they are. Refused (400, 422) for a patch that makes no sense."""
    if content_type == JSON_PATCH:
        return _json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a JSON object was expected")
    patched = merge(obj, patch) if content_type == MERGE else strategic(obj, patch)
    return copy_json(patched)  # type: ignore[no-any-return]


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: objects merge key by key, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def strategic(target: Json, patch: Json) -> Json:
    """A strategic merge of two objects, with the directives `$patch`, `$retainKeys` and their list forms."""
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    merged = {} if directive == "replace" else dict(target)
    if retained := patch.get("$retainKeys"):
        merged = {name: value for name, value in merged.items() if name in retained}
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            merged[field] = [each for each in merged.get(field) or [] if each not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            present = merged.get(name)
            merged[name] = strategic(present if isinstance(present, dict) else {}, value)
        elif isinstance(value, list):
            merged[name] = _strategic_list(
                name, merged.get(name) or [], value, patch.get(f"$setElementOrder/{name}")
            )
        else:
            merged[name] = value
    return merged


def _strategic_list(name: str, present: list[Any], patch: list[Any], order: list[Any] | None) -> list[Any]:
    if name in _SETS:
        return [*present, *(each for each in patch if each not in present)]
    key = _MERGE_KEYS.get(name)
    if key is None:
        # Atomic: the elements replace the list whole, and a `$patch` in them is an unknown field, dropped.
        return [_without_directives(each) for each in patch]
    if not all(isinstance(each, dict) for each in patch):
        raise bad_request(f"error decoding patch: {name}: a list of JSON objects was expected")
    if any(each.get("$patch") == "replace" for each in patch):
        return [_without_directives(each) for each in patch if each.get("$patch") != "replace"]
    merged: dict[Any, Json] = {each.get(key): each for each in present}
    for each in patch:
        if key not in each:
            raise Refused(
                422, "Invalid", f"{name}: an element of the patch does not contain the merge key {key}"
            )
        if each.get("$patch") == "delete":
            merged.pop(each[key], None)
        else:
            merged[each[key]] = strategic(merged.get(each[key], {}), each)
    if order:
        places = {each.get(key): place for place, each in enumerate(order)}
        return sorted(merged.values(), key=lambda each: places.get(each[key], len(places)))
    return list(merged.values())


def _without_directives(element: Any) -> Any:
    if isinstance(element, dict):
        return {name: value for name, value in element.items() if not name.startswith("$")}
    return element


def _json_patch(obj: Json, operations: Any) -> Json:
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON array was expected")
    patched = copy_json(obj)
    for operation in operations:
        try:
            _step(patched, operation)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise Refused(422, "Invalid", f"the server rejected our request: {operation}: {error}") from error
    return patched  # type: ignore[no-any-return]


def _step(obj: Json, operation: Json) -> None:
    name, path = operation["op"], _pointer(operation["path"])
    match name:
        case "add":
            _at(obj, path, lambda at, last: _insert(at, last, operation["value"]))
        case "replace":
            _find(obj, path)
            _at(obj, path, lambda at, last: _put(at, last, operation["value"]))
        case "remove":
            _at(obj, path, _take)
        case "test":
            if _find(obj, path) != operation["value"]:
                raise ValueError("test failed")
        case "copy":
            value = copy_json(_find(obj, _pointer(operation["from"])))
            _at(obj, path, lambda at, last: _insert(at, last, value))
        case "move":
            origin = _pointer(operation["from"])
            value = _find(obj, origin)
            _at(obj, origin, _take)
            _at(obj, path, lambda at, last: _insert(at, last, value))
        case _:
            raise ValueError(f"unknown operation {name}")


def _pointer(path: str) -> Sequence[str]:
    return [each.replace("~1", "/").replace("~0", "~") for each in path.split("/")[1:]]


def _find(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _at(obj: Json, path: Sequence[str], edit: Callable[[Any, str], None]) -> None:
    edit(_find(obj, path[:-1]), path[-1])


def _insert(at: Any, last: str, value: Any) -> None:
    if isinstance(at, list):
        at.insert(len(at) if last == "-" else int(last), value)
    else:
        at[last] = value


def _put(at: Any, last: str, value: Any) -> None:
    at[int(last) if isinstance(at, list) else last] = value


def _take(at: Any, last: str) -> None:
    del at[int(last) if isinstance(at, list) else last]
