"""Access reviews as Kubernetes' protobuf: newer kubectls ask `auth can-i` in that format and take no other.

Field numbers are those of `k8s.io/api/authorization/v1/generated.proto` and of the `runtime.Unknown` envelope. The
answer may be JSON all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backends.simulated.objects import Json
from backends.simulated.statuses import bad_request, unsupported_media_type

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_Fields = Mapping[int, tuple[str, Any]]

_TYPE: _Fields = {1: ("apiVersion", None), 2: ("kind", None)}
_RESOURCE: _Fields = {
    1: ("namespace", None),
    2: ("verb", None),
    3: ("group", None),
    4: ("version", None),
    5: ("resource", None),
    6: ("subresource", None),
    7: ("name", None),
}
_PATH: _Fields = {1: ("path", None), 2: ("verb", None)}
_REVIEWS: Mapping[str, _Fields] = {
    "SelfSubjectAccessReview": {
        2: ("spec", {1: ("resourceAttributes", _RESOURCE), 2: ("nonResourceAttributes", _PATH)})
    },
    "SelfSubjectRulesReview": {2: ("spec", {1: ("namespace", None)})},
    "SelfSubjectReview": {},
}


def review(body: bytes) -> Json:
    """The review in a body; refused with 415 for another kind, with 400 for bytes that cannot be read."""
    if not body.startswith(_MAGIC):
        raise bad_request("the object provided is unrecognized: not Kubernetes protobuf")
    try:
        parts = dict(_numbered(body[len(_MAGIC) :]))
        typed = _message(parts[1], _TYPE)
        fields = _REVIEWS.get(typed["kind"])
        if fields is None:
            raise unsupported_media_type(["application/json"])
        return {**typed, **_message(parts[2], fields)}
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise bad_request("the object provided is unrecognized: broken protobuf") from error


def _message(encoded: bytes, fields: _Fields) -> Json:
    found: Json = {}
    for number, value in _numbered(encoded):
        if number in fields:
            name, inner = fields[number]
            found[name] = value.decode() if inner is None else _message(value, inner)
    return found


def _numbered(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message; numbers are stepped over, for nothing here needs one."""
    at = 0
    while at < len(encoded):
        tag, at = _varint(encoded, at)
        if tag & 7 == 0:
            _, at = _varint(encoded, at)
            continue
        if tag & 7 != 2:
            raise IndexError(at)
        size, at = _varint(encoded, at)
        yield tag >> 3, encoded[at : at + size]
        at += size


def _varint(encoded: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = encoded[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at
