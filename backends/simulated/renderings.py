"""The forms an answer may take: the objects themselves, their metadata alone, or the rows of a Table.

Chosen by the request's Accept header and, for Tables, `includeObject`. Everything is joined from cached bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from backends.simulated.objects import Json, Stored
from backends.simulated.resources import Resource
from backends.simulated.statuses import not_acceptable
from backends.simulated.tables import columns_of
from fleet.ports import Clock

encode = msgspec.json.Encoder().encode


class Rendering(Protocol):
    """How one request wants its objects."""

    def whole(self, stored: Stored) -> bytes:
        """An object as an answer or as a watch event's `object`."""
        ...

    def in_list(self, stored: Stored) -> bytes:
        """An object as an element of a list."""
        ...

    def around(self, metadata: Json) -> tuple[bytes, bytes]:
        """What stands before and after the elements of a list."""
        ...

    def bookmark(self, metadata: Json) -> bytes:
        """The `object` of a BOOKMARK event."""
        ...


class Plain:
    """The objects whole."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._typed = typed_head(resource.kind, resource.api_version)

    def whole(self, stored: Stored) -> bytes:
        return self._typed + stored.encoded[1:]

    def in_list(self, stored: Stored) -> bytes:
        return stored.encoded

    def around(self, metadata: Json) -> tuple[bytes, bytes]:
        head = typed_head(f"{self._resource.kind}List", self._resource.api_version)
        return head + b'"metadata":' + encode(metadata) + b',"items":[', b"]}\n"

    def bookmark(self, metadata: Json) -> bytes:
        return self._typed + b'"metadata":' + encode(metadata) + b"}"


class MetadataOnly:
    """PartialObjectMetadata: names, labels and annotations without spec and status."""

    def __init__(self, version: str) -> None:
        self._api_version = f"meta.k8s.io/{version}"
        self._head = typed_head("PartialObjectMetadata", self._api_version)

    def whole(self, stored: Stored) -> bytes:
        return self._head + b'"metadata":' + encode(stored.object["metadata"]) + b"}"

    in_list = whole

    def around(self, metadata: Json) -> tuple[bytes, bytes]:
        head = typed_head("PartialObjectMetadataList", self._api_version)
        return head + b'"metadata":' + encode(metadata) + b',"items":[', b"]}\n"

    def bookmark(self, metadata: Json) -> bytes:
        return self._head + b'"metadata":' + encode(metadata) + b"}"


class Table:
    """Rows for `kubectl get`; a watch names the columns in its first event only."""

    def __init__(self, resource: Resource, version: str, include: str, clock: Clock) -> None:
        self._resource = resource
        self._columns = columns_of(resource)
        self._api_version = f"meta.k8s.io/{version}"
        self._include = include
        self._clock = clock
        self._plain = Plain(resource)
        self._metadata = MetadataOnly(version)
        self._named = False

    def whole(self, stored: Stored) -> bytes:
        before, after = self._around({"resourceVersion": stored.object["metadata"]["resourceVersion"]})
        return before + self.in_list(stored) + after

    def in_list(self, stored: Stored) -> bytes:
        cells = encode(self._columns.cells(stored.object, self._clock.now()))
        if self._include == "None":
            return b'{"cells":' + cells + b',"object":null}'
        shown = self._plain.whole(stored) if self._include == "Object" else self._metadata.whole(stored)
        return b'{"cells":' + cells + b',"object":' + shown + b"}"

    def around(self, metadata: Json) -> tuple[bytes, bytes]:
        before, after = self._around(metadata)
        return before, after + b"\n"

    def bookmark(self, metadata: Json) -> bytes:
        marker = self._plain.bookmark(metadata)
        before, after = self._around(metadata)
        return before + b'{"cells":[],"object":' + marker + b"}" + after

    def _around(self, metadata: Json) -> tuple[bytes, bytes]:
        columns = encode(None if self._named else self._columns.definitions())
        self._named = True
        head = typed_head("Table", self._api_version)
        return head + b'"metadata":' + encode(
            metadata
        ) + b',"columnDefinitions":' + columns + b',"rows":[', b"]}"


def typed_head(kind: str, api_version: str) -> bytes:
    """The opening of a JSON object of that type, to be followed by its other fields."""
    return f'{{"kind":"{kind}","apiVersion":"{api_version}",'.encode()


def rendering(resource: Resource, accept: str, include: str, clock: Clock) -> Rendering:
    """The first form of the Accept header that is served here; refused (406) where there is none."""
    for media, as_kind, version in _accepted(accept or "*/*"):
        if media not in ("application/json", "application/*", "*/*"):
            continue
        if as_kind == "Table" and version in ("v1", "v1beta1"):
            return Table(resource, version, include or "Metadata", clock)
        if as_kind.startswith("PartialObjectMetadata") and version in ("v1", "v1beta1"):
            return MetadataOnly(version)
        if not as_kind:
            return Plain(resource)
    raise not_acceptable()


def _accepted(accept: str) -> Iterator[tuple[str, str, str]]:
    for part in accept.split(","):
        media, *parameters = [each.strip() for each in part.split(";")]
        named = {name: value for name, _, value in (each.partition("=") for each in parameters)}
        yield media, named.get("as", ""), named.get("v", "")


def pages(form: Rendering, rows: Sequence[Stored], metadata: Json, size: int = 200) -> list[bytes]:
    """A list's body in pieces of `size` objects, so that a large one need not be one piece of memory."""
    before, after = form.around(metadata)
    pieces = [before]
    for start in range(0, len(rows), size):
        joined = b",".join([form.in_list(stored) for stored in rows[start : start + size]])
        pieces.append(b"," + joined if start else joined)
    pieces.append(after)
    return pieces
