"""What the filter bar offers while a selection is typed: fields, then the values that the fleet has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fleet.naming import natural
from fleet.row import FleetRow
from fleet.selection_fields import ALIASES, FIELDS, ChoiceField, Field, ListField, NumberField, TextField
from fleet.selection_match import quoted_if_needed

OFFERED = 20
"""At most so many completions are offered."""

_OPERATORS = ("!=", ">=", "<=", "=", ">", "<")


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` stands for the characters from `start` up to `end` of what is typed; `says` explains it."""

    text: str
    start: int
    end: int
    says: str = ""

    def applied(self, typed: str) -> str:
        """The typed text with this completion in it."""
        return typed[: self.start] + self.text + typed[self.end :]


def completions(
    text: str, cursor: int, known_values: Mapping[str, Collection[str]]
) -> tuple[Completion, ...]:
    """What could stand at the cursor. `known_values` by field, as `KnownValues` tells them. Never raises."""
    cursor = min(max(cursor, 0), len(text))
    start = _term_start(text, cursor)
    if text.startswith("!", start) and not text.startswith("!=", start):
        start += min(1, cursor - start)
    typed = text[start:cursor]
    place = min((typed.find(sign) for sign in _OPERATORS if sign in typed), default=-1)
    if place < 0:
        return _fields(typed, start, cursor)
    sign = next(sign for sign in _OPERATORS if typed.startswith(sign, place))
    name = typed[:place].lower()
    field = FIELDS.get(ALIASES.get(name, name))
    if field is None or (isinstance(field, NumberField) and sign not in ("=", "!=")):
        return ()
    value_start = max(start + place + len(sign), _last_comma(text, start, cursor) + 1)
    prefix = text[value_start:cursor].removeprefix('"').lower()
    words = _words(field)
    known = [] if isinstance(field, ChoiceField | NumberField) else known_values.get(field.name, ())
    offered = [*sorted(set(known) - set(words), key=natural), *sorted(words, key=natural)]
    return tuple(
        Completion(value if value in words else quoted_if_needed(value), value_start, cursor)
        for value in [value for value in offered if value.lower().startswith(prefix)][:OFFERED]
    )


class KnownValues:
    """The texts that each field has in the rows taken in, at most `most` a field: a fleet is taken in some rows at a time."""

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._found: dict[str, set[str]] = {
            field.name: set() for field in FIELDS.values() if isinstance(field, TextField | ListField)
        }

    def take(self, rows: Sequence[FleetRow]) -> None:
        for name, values in self._found.items():
            field = FIELDS[name]
            if len(values) >= self._most:
                continue
            if isinstance(field, TextField):
                values.update(map(field.read, rows))
            elif isinstance(field, ListField):
                values.update(*map(field.read, rows))

    def told(self) -> dict[str, tuple[str, ...]]:
        """The texts by field, in the order of names."""
        return {
            name: tuple(sorted(values - {""}, key=natural)[: self._most])
            for name, values in self._found.items()
        }


def _fields(typed: str, start: int, cursor: int) -> tuple[Completion, ...]:
    wanted = typed.lower()
    return tuple(
        Completion(f"{field.name}{'>' if isinstance(field, NumberField) else '='}", start, cursor, field.says)
        for field in FIELDS.values()
        if field.name.startswith(wanted)
    )[:OFFERED]


def _words(field: Field) -> tuple[str, ...]:
    if isinstance(field, ChoiceField):
        return field.choices
    return ("unknown",) if isinstance(field, NumberField) else ("none",)


def _term_start(text: str, cursor: int) -> int:
    """Where the term under the cursor begins: after the last space that is not within quotes."""
    start, quoted, escaped = 0, False, False
    for place, letter in enumerate(text[:cursor]):
        if escaped:
            escaped = False
        elif letter == "\\" and quoted:
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter.isspace() and not quoted:
            start = place + 1
    return start


def _last_comma(text: str, start: int, cursor: int) -> int:
    """The last comma of the term that is not within quotes, or -1."""
    last, quoted = -1, False
    for place in range(start, cursor):
        if text[place] == '"':
            quoted = not quoted
        elif text[place] == "," and not quoted:
            last = place
    return last
