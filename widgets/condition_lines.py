"""A condition's message as lines: NVSentinel puts several faults into one, each with its GPU and what it recommends. Pure.

Its form (NVSentinel, docs of its health monitors): `ErrorCode:79 GPU:3 PCI:0000:1b:00.0 GPU_UUID:GPU-… text Recommended Action=X;`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleet.node import Condition
from widgets.lines import LineOf
from widgets.tones import Tone

_FIELD = re.compile(r"\b(ErrorCode|GPU|PCI|GPU_UUID):(\S*)")
_ACTION = re.compile(r"\bRecommended Action=(\S*)")
_INDENT = "  "


def says_more(condition: Condition) -> str:
    """The condition's reason, where it is more than its type in other words (`GpuNvlinkWatchIsNotHealthy`)."""
    known = (f"{condition.type}IsNotHealthy", f"{condition.type}IsHealthy")
    return "" if condition.reason in known else condition.reason


def message_lines(message: str) -> Iterator[LineOf]:
    """The message, each fault of NVSentinel's on lines of its own; any other message as it stands."""
    if "ErrorCode:" not in message:
        yield [(_INDENT + message, Tone.MUTED)]
        return
    for part in message.split(";"):
        if part.strip():
            yield from _fault(part.strip())


def _fault(text: str) -> Iterator[LineOf]:
    fields: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(text):
        fields.setdefault(name, []).append(value)
    actions = _ACTION.findall(text)
    says = " ".join(_ACTION.sub("", _FIELD.sub("", text)).split())
    named = [("error", fields.get("ErrorCode")), ("GPU", fields.get("GPU"))]
    head = ", ".join(f"{word} {', '.join(values)}" for word, values in named if values)
    yield [(f"{_INDENT}{head}", Tone.BAD), (f"  {says}" if says else "", Tone.PLAIN)]
    where = "  ".join((*(f"PCI {value}" for value in fields.get("PCI", ())), *fields.get("GPU_UUID", ())))
    if where:
        yield [(f"{_INDENT}  {where}", Tone.MUTED)]
    if actions:
        yield [(f"{_INDENT}  recommended: {', '.join(actions)}", Tone.NOTE)]
