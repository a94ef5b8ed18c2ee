"""Reads what a site's own command printed: its exit says the verdict, its last line why. A last line of JSON may say more.

0 is PASS, 1 is FAIL, anything else is UNKNOWN. What JSON says can make that worse and never better; JSON that can't be read may
have said so, and is no pass.
"""

from __future__ import annotations

import json
from typing import Any

from backends.diagnostics.reading import Reading
from fleet.health import Verdict
from fleet.text import clean

_EXITS = {0: Verdict.PASS, 1: Verdict.FAIL}
_ORDER = (Verdict.PASS, Verdict.WARN, Verdict.UNKNOWN, Verdict.FAIL)
_LIMIT = 300
_LONGEST_LINE = 16 * 1024


def read_site(output: str, *, exit_code: int | None) -> Reading:
    """What a site's command came to."""
    by_exit = Verdict.UNKNOWN if exit_code is None else _EXITS.get(exit_code, Verdict.UNKNOWN)
    line = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    said = _json(line)
    if said is None:
        if line.lstrip().startswith("{"):
            by_exit = max(by_exit, Verdict.UNKNOWN, key=_ORDER.index)
        value = clean(line, _LIMIT) or f"exit {'not known' if exit_code is None else exit_code}"
        return Reading(by_exit, _with_exit(value, exit_code), "exit 0", _clears(by_exit, ""))
    verdict = max(by_exit, _verdict(said), key=_ORDER.index)
    value = _text(said, "value") or _text(said, "says") or verdict.value
    return Reading(
        verdict,
        _with_exit(value, exit_code),
        _text(said, "threshold") or "exit 0",
        _clears(verdict, _text(said, "clears")),
    )


def _with_exit(value: str, exit_code: int | None) -> str:
    return (
        value if exit_code in (0, 1, None) or f"exit {exit_code}" in value else f"{value} (exit {exit_code})"
    )


def _clears(verdict: Verdict, said: str) -> str:
    return said or ("" if verdict is Verdict.PASS else "what the command asks for, then a run that passes")


def _json(line: str) -> dict[str, Any] | None:
    text = line.strip()
    if not text.startswith("{") or len(text) > _LONGEST_LINE:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _verdict(said: dict[str, Any]) -> Verdict:
    """The verdict that the JSON names, which may be left out; a word that is none is UNKNOWN."""
    if "verdict" not in said:
        return Verdict.PASS
    word = str(said["verdict"]).strip().upper()
    return Verdict(word) if word in {verdict.value for verdict in Verdict} else Verdict.UNKNOWN


def _text(said: dict[str, Any], key: str) -> str:
    found = said.get(key)
    return clean(str(found), _LIMIT) if isinstance(found, str | int | float) and found != "" else ""
