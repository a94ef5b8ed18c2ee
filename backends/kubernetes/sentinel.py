"""Reads what NVIDIA NVSentinel says of a node it has cordoned: who, why, since when.

Keys as in its fault-quarantine module: labels under a prefix that a site may change (`k8saas.nvidia.com/` by default), annotations
without one, and the state of its own drain and repair.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from fleet.holder import Hold, HolderKind
from fleet.text import clean

_PREFIX = "k8saas.nvidia.com/"
_STATE = "dgxc.nvidia.com/nvsentinel-state"
_HOLDING = frozenset(
    {"quarantined", "draining", "drain-succeeded", "drain-failed", "remediating", "remediation-failed"}
)


class _Event(msgspec.Struct, rename="camel"):
    check_name: str = ""
    message: str = ""
    component_class: str = ""
    error_code: list[str] | None = None


def sentinel_hold(labels: Mapping[str, str], notes: Mapping[str, str]) -> Hold | None:
    """NVSentinel's hold on a node that is cordoned, or None where it has none, or a person overruled it."""
    if notes.get("quarantinedNodeUncordonedManually", "").lower() == "true":
        return None
    state = labels.get(_STATE, "")
    signed = labels.get(f"{_PREFIX}cordon-by", "")
    cordoned = notes.get("quarantineHealthEventIsCordoned", "").lower() == "true"
    if not (signed or cordoned or state in _HOLDING):
        return None
    why = [labels.get(f"{_PREFIX}cordon-reason", "") or _event(notes.get("quarantineHealthEvent", ""))]
    if state:
        why.append(state)
    by = signed if signed and signed.lower() != "nvsentinel" else "NVSentinel"
    return Hold(
        clean(by, 80),
        clean(", ".join(part for part in why if part), 200),
        HolderKind.CONTROLLER,
        since=_since(labels.get(f"{_PREFIX}cordon-timestamp", "")),
    )


def _event(text: str) -> str:
    """The gist of the health event (one, or a list of them) that led to the cordon."""
    if not text:
        return ""
    try:
        read = msgspec.json.decode(text, type=_Event | list[_Event])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return ""
    event = read[0] if isinstance(read, list) and read else read
    if isinstance(event, list):
        return ""
    codes = " ".join(event.error_code or ())
    return " ".join(part for part in (event.check_name, codes, event.message) if part)


def _since(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:40], "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
