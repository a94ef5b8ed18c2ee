"""Who else has written to a Node since we did, from its managedFields: a hint at who opened it, and no proof.

Who only takes a field away, as `kubectl uncordon` does, owns nothing by it and is not named; a controller mostly writes a
key of its own beside. Times are the API server's, so that they compare.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from backends.kubernetes.node_edit import NodeObject
from backends.kubernetes.our_keys import FIELD_MANAGER
from backends.kubernetes.stamps import read_stamp
from fleet.text import clean

_OF_THE_CLUSTER = frozenset({FIELD_MANAGER, "kubelet", "kube-controller-manager", "cloud-controller-manager"})
"""Who writes to every Node at any time."""
_NAME = 60


class _Entry(msgspec.Struct, frozen=True):
    manager: str = ""
    time: str | None = None
    subresource: str | None = None


_entries = msgspec.json.Decoder(list[_Entry] | None).decode


def written_since(node: NodeObject) -> str:
    """The last of the others, as ` (last written to by NAME at TIME)`, where they wrote after us; else nothing."""
    try:
        entries = _entries(node.metadata.managed_fields) or ()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    written: list[tuple[datetime, str]] = []
    ours: datetime | None = None
    for entry in entries:
        at = read_stamp(entry.time or "")
        if at is None or entry.subresource:
            continue
        if entry.manager == FIELD_MANAGER:
            ours = max(ours or at, at)
        elif entry.manager not in _OF_THE_CLUSTER:
            written.append((at, entry.manager))
    if ours is None or not written:
        return ""
    at, manager = max(written)
    return f" (last written to by {clean(manager, _NAME)} at {at:%H:%M:%S} UTC)" if at >= ours else ""
