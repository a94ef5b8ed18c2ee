"""Request bodies, read as strictly as the API server reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backends.simulated.objects import Json
from backends.simulated.resources import Resource
from backends.simulated.soundness import unsound
from backends.simulated.statuses import Refused, bad_request, cause, invalid, unsupported_media_type

JSON_TYPES = ("", "application/json", "application/octet-stream")


def decoded(body: bytes, content_type: str) -> Any:
    """The JSON value of a body; refused with 415 for another format, with 400 for broken JSON."""
    if content_type not in JSON_TYPES:
        raise unsupported_media_type(["application/json"])
    return json_value(body)


def json_value(body: bytes) -> Any:
    """The JSON value, or a refusal (400)."""
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def sent_object(resource: Resource, value: Any, namespace: str) -> Json:
    """An object that was sent to be stored; refused (400) where it is of another kind or namespace.

    The namespace of the address is filled in where the object names none.
    """
    obj = typed(value, resource.kind, resource.api_version)
    metadata = obj["metadata"]
    if resource.namespaced:
        if metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
    else:
        metadata.pop("namespace", None)
    check_shape(resource, obj)
    return obj


def check_shape(resource: Resource, obj: Json, *, patched: bool = False) -> None:
    """Refuse an object that its types can't hold (400; 422 where a patch made it so), or whose values may not be (422)."""
    for field in ("metadata", "spec", "status"):
        if not isinstance(obj.get(field, {}), dict):
            raise _mistyped(resource, field, "an object was expected", patched=patched)
    problem = unsound(resource, obj)
    if problem is None:
        return
    if problem.of_type:
        raise _mistyped(resource, problem.field, problem.says, patched=patched)
    name = obj["metadata"].get("name", "")
    causes = [cause("FieldValueInvalid", f"Invalid value: {problem.says}", problem.field)]
    raise invalid(resource.group, resource.kind, name, causes)


def _mistyped(resource: Resource, field: str, says: str, *, patched: bool) -> Refused:
    if patched:
        return invalid("", "", "", [cause("FieldValueInvalid", f"Invalid value: {field}: {says}", "patch")])
    kind, version = resource.kind, resource.version
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {field}: {says}')


def grace_period(value: object) -> int | None:
    """A `gracePeriodSeconds` of a body or query; refused (400) where it is not a number of seconds."""
    if value is None:
        return None
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        return int(value)
    raise bad_request(f"gracePeriodSeconds: {value!r} is not a whole number")


def typed(value: Any, kind: str, *api_versions: str) -> Json:
    """`value` if it is an object of that kind, with a `metadata`; a refusal (400) otherwise."""
    if not isinstance(value, dict) or not value.get("kind"):
        raise bad_request("Object 'Kind' is missing")
    if value["kind"] != kind or value.get("apiVersion") not in api_versions:
        told = f"{value.get('apiVersion')}, Kind={value['kind']}"
        raise bad_request(f"the API version or kind in the data ({told}) does not match the expected {kind}")
    if not isinstance(value.get("metadata", {}), dict):
        raise bad_request(f"json: cannot unmarshal into Go struct field {kind}.metadata")
    return {**value, "metadata": dict(value.get("metadata") or {})}


def is_dry(query: Mapping[str, str], options: Json | None = None) -> bool:
    """Whether nothing is to be stored; refused (422) for a `dryRun` other than All."""
    asked = [query["dryRun"]] if query.get("dryRun") else (options or {}).get("dryRun") or []
    if asked not in ([], ["All"]):
        why = f'Unsupported value: "{asked[0]}": supported values: "All"'
        raise invalid("meta.k8s.io", "Options", "", [cause("FieldValueNotSupported", why, "dryRun")])
    return bool(asked)
