"""Reads a line of `journalctl -o json` as the kernel line that it carries.

Field names are those of systemd.journal-fields(7); a message that is not all printable text comes as a list of its bytes.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_ENTRY_LIMIT = 1 << 16
_MESSAGE_LIMIT = 4096
_HOST_LIMIT = 80
_LIST = re.compile(rb'"MESSAGE"\s*:\s*\[')


def hides_its_message(line: bytes) -> bool:
    """Whether the words of the message can't be searched for, being a list of numbers."""
    return line[:1] == b"{" and _LIST.search(line) is not None


def printed(line: bytes) -> str | None:
    """The entry as `journalctl -o short-iso` prints it, `-` for a time that it does not tell; None where it is no entry."""
    if line[:1] != b"{" or len(line) > _ENTRY_LIMIT:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        entry = json.loads(line)
        message = _message(entry.get("MESSAGE")) if isinstance(entry, dict) else ""
        if message:
            host = next(iter(str(entry.get("_HOSTNAME", "")).split()), "")
            return f"{_time(entry)} {host[:_HOST_LIMIT]} kernel: {message}" if host else message
    return None


def _message(found: object) -> str:
    if isinstance(found, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in found):
        return bytes(found[:_MESSAGE_LIMIT]).decode("utf-8", "replace")
    return found if isinstance(found, str) else ""


def _time(entry: Mapping[str, object]) -> str:
    """Microseconds since 1970, in whole seconds of UTC."""
    micros = str(entry.get("__REALTIME_TIMESTAMP", ""))
    if not (micros.isascii() and micros.isdecimal() and len(micros) <= 17):
        return "-"
    return datetime.fromtimestamp(int(micros) // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
