"""What a file of the last known fleet holds: a magic line with its version, a digest, a header, and the nodes in small frames.

Frames are small because packing and unpacking one holds the interpreter as long as it takes; compressing them does not.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from fleet.errors import Garbled
from fleet.node import Node
from fleet.workload import NodeWork

VERSION = 1
MAGIC = b"quarterdeck last known fleet "
LARGEST = 64 << 20
"""Bytes of a file that is read or written: 10,000 nodes take 1 to 3 MB."""
_FRAME_NODES = 100
_LARGEST_FRAME = 16 << 20
_DIGEST = 32
_LENGTH = 4
_Value = TypeVar("_Value")


class Header(msgspec.Struct, frozen=True):
    """Whose nodes they are. `key` names source and address as the file's name does; `seen` is when they were so."""

    source: str
    key: str
    address: str
    identity: str
    seen: datetime
    nodes: int


class KeptNode(msgspec.Struct, frozen=True, array_like=True):
    """A node and the work on it, None where that was unknown. Telemetry is not kept: it would be taken for fresh."""

    node: Node
    work: NodeWork | None


_encoder = msgspec.msgpack.Encoder()
_header = msgspec.msgpack.Decoder(Header)
_nodes = msgspec.msgpack.Decoder(list[KeptNode])


def encode(header: Header, nodes: Sequence[KeptNode]) -> bytes:
    """The bytes of a file. Raises Garbled for a value that no file can hold."""
    try:
        body = bytearray(_framed(_encoder.encode(header)))
        for start in range(0, len(nodes), _FRAME_NODES):
            body += _framed(_encoder.encode(nodes[start : start + _FRAME_NODES]))
    except (ValueError, OverflowError) as error:  # half a character, or a number beyond 64 bits
        raise Garbled(f"a node can't be kept: {error}") from error
    return b"".join((MAGIC, b"%d\n" % VERSION, hashlib.sha256(body).digest(), body))


def decode_header(content: bytes) -> Header:
    """The header alone, of a file that is whole. Raises Garbled."""
    return _read(_header, next(_frames(_body(content)), b""))


def decode(content: bytes) -> tuple[Header, list[KeptNode]]:
    """What `encode` was given. Raises Garbled for what is cut off, altered, or of another version."""
    frames = _frames(_body(content))
    header = _read(_header, next(frames, b""))
    nodes = [kept for frame in frames for kept in _read(_nodes, frame)]
    if len(nodes) != header.nodes:
        raise Garbled(f"it has {len(nodes)} nodes and says {header.nodes}")
    return header, nodes


def _body(content: bytes) -> bytes:
    if not content.startswith(MAGIC):
        raise Garbled("it is not a last known fleet")
    version, line_end, rest = content[len(MAGIC) :].partition(b"\n")
    if not line_end or version != b"%d" % VERSION:
        raise Garbled("another version of Quarterdeck wrote it")
    body = rest[_DIGEST:]
    if hashlib.sha256(body).digest() != rest[:_DIGEST]:
        raise Garbled("it is cut off or altered")
    return body


def _framed(packed: bytes) -> bytes:
    pressed = zlib.compress(packed, 1)
    return len(pressed).to_bytes(_LENGTH, "big") + pressed


def _frames(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        end = at + _LENGTH + int.from_bytes(body[at : at + _LENGTH], "big")
        unpacking = zlib.decompressobj()
        try:
            yield unpacking.decompress(body[at + _LENGTH : end], _LARGEST_FRAME)
        except zlib.error as error:
            raise Garbled(f"a part of it can't be unpacked: {error}") from error
        at = end


def _read(decoder: msgspec.msgpack.Decoder[_Value], frame: bytes) -> _Value:
    try:
        return decoder.decode(frame)
    except msgspec.DecodeError as error:  # of a ValidationError too, which is one
        raise Garbled(f"a part of it is not as it should be: {error}") from error
