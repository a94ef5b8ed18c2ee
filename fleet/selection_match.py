"""A selection's terms as values, and as functions of a row that are quick enough to run over the whole fleet at each key."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from math import isfinite

from fleet.node import Admission, Readiness, Stage
from fleet.row import FleetRow
from fleet.selection_fields import FIELDS, ChoiceField, ListField, NumberField, TextField

Match = Callable[[FleetRow], bool]

_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)(%?)")
_PLAIN = re.compile(r'[^\s",=<>!][^\s",]*')
_ABSENT = frozenset({"none", "unknown"})
_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a term. Quoted, it is taken as it stands: no globs, no `none`."""

    text: str
    quoted: bool = False

    @property
    def globs(self) -> bool:
        return not self.quoted and ("*" in self.text or "?" in self.text)

    def __str__(self) -> str:
        return quote(self.text) if self.quoted else self.text


@dataclass(frozen=True, slots=True)
class Term:
    """`field` empty: a bare word. `negated` is a `!` before the term."""

    field: str
    operator: str
    values: tuple[Value, ...]
    negated: bool = False

    def __str__(self) -> str:
        values = ",".join(map(str, self.values))
        return f"{'!' if self.negated else ''}{self.field}{self.operator if self.field else ''}{values}"


def quote(text: str) -> str:
    """A value in quotes, as `parse` reads it back."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def quoted_if_needed(text: str) -> str:
    """A value as one would type it to mean exactly this text."""
    plain = _PLAIN.fullmatch(text) and not any(mark in text for mark in "*?")
    return text if plain and text.lower() not in _ABSENT else quote(text)


def number_of(field: NumberField, text: str) -> float | None:
    """A number as typed, None where it is none. `80%` is 0.8 of a ratio, and 80 of anything else."""
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > 40:
        return None
    number = float(match[1])
    return number / 100 if match[2] and field.ratio else number


def fits_choice(value: Value, choice: str) -> bool:
    """Whether a typed value means this choice: without case, `_` as good as `-`, globs allowed."""
    typed = value.text.lower().replace("_", "-")
    return bool(_glob(typed).match(choice)) if value.globs else typed == choice


def all_of(terms: Sequence[Term]) -> Match:
    """One function that says whether a row fits all terms."""
    matches = [_compiled(term) for term in terms]
    if not matches:
        return lambda row: True
    if len(matches) == 1:
        return matches[0]
    first, rest = matches[0], matches[1:]
    return lambda row: first(row) and all(match(row) for match in rest)


def _compiled(term: Term) -> Match:
    if not term.field:
        return _unless(_contains(term.values[0].text.lower()), term.negated)
    field = FIELDS[term.field]
    if isinstance(field, NumberField):
        # Turned round by its operator, not by `not`: an unknown number must match neither way.
        return _number(field, _OPPOSITE[term.operator] if term.negated else term.operator, term.values)
    negated = term.negated != (term.operator == "!=")
    if isinstance(field, ChoiceField):
        return _unless(_choice(field, term.operator, term.values), negated)
    return _unless(_text(field, term.values), negated)


def _unless(match: Match, negated: bool) -> Match:
    return (lambda row: not match(row)) if negated else match


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))


def _any_glob(patterns: Sequence[str]) -> Callable[[str], object | None] | None:
    if not patterns:
        return None
    return re.compile("|".join(_glob(pattern).pattern for pattern in patterns)).match


def _text(field: TextField | ListField, values: Sequence[Value]) -> Match:
    exact = frozenset(value.text.lower() for value in values if not value.globs)
    globs = _any_glob([value.text.lower() for value in values if value.globs])
    absent = any(not value.text or (not value.quoted and value.text.lower() in _ABSENT) for value in values)

    def fits_lowered(text: str) -> bool:
        lowered = text.lower()
        return lowered in exact or (globs is not None and globs(lowered) is not None)

    # Names are each seen once: remembering them would only push out what is shared.
    fits = fits_lowered if field.name == "name" else lru_cache(maxsize=_REMEMBERED)(fits_lowered)
    if isinstance(field, TextField):
        read_one = field.read
        if not absent:
            return lambda row: fits(read_one(row))
        return lambda row: not (text := read_one(row)) or fits(text)
    read = field.read
    return lambda row: any(map(fits, texts)) if (texts := tuple(read(row))) else absent


def _number(field: NumberField, sign: str, values: Sequence[Value]) -> Match:
    read = field.read
    numbers = [number_of(field, value.text) for value in values]
    limits = frozenset(number for number in numbers if number is not None)
    unknown_wanted = sign == "=" and any(value.text.lower() == "unknown" for value in values)

    if sign in _COMPARE:
        compare, limit = _COMPARE[sign], next(iter(limits))

        def ranks(row: FleetRow) -> bool:
            number = read(row)
            return number is not None and isfinite(number) and compare(number, limit)

        return ranks
    wanted = sign == "="

    def equals(row: FleetRow) -> bool:
        number = read(row)
        if number is None or not isfinite(number):
            return unknown_wanted
        return (number in limits) is wanted

    return equals


def _choice(field: ChoiceField, sign: str, values: Sequence[Value]) -> Match:
    choices = field.choices
    if sign in _COMPARE:
        limit = next(place for place, choice in enumerate(choices) if fits_choice(values[0], choice))
        wanted = frozenset(choice for place, choice in enumerate(choices) if _COMPARE[sign](place, limit))
    else:
        wanted = frozenset(
            choice for choice in choices if any(fits_choice(value, choice) for value in values)
        )
    read = field.read
    return lambda row: read(row) in wanted


_SHOWN: dict[Stage | Admission | Readiness, str] = {
    **{stage: stage.value for stage in Stage},
    **{admission: admission.value for admission in Admission},
    Readiness.NOT_READY: "notready",
    Readiness.UNKNOWN: "not heard",
}
"""The words a row shows for its state, without case. That it is ready is not said."""


class _Within(dict[str, bool]):
    """Whether a text holds a word, remembered: a dict's hit costs half of what a cached function's does."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted

    def __missing__(self, text: str) -> bool:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[text] = self.wanted in text.lower()
        return found


def _contains(wanted: str) -> Match:
    """A bare word: in the name first, since most rows are told by it; shared texts are folded once each.

    A state is found by how its word begins: inside others short words would find half the fleet.
    """

    within = _Within(wanted)
    states = frozenset(state for state, shown in _SHOWN.items() if shown.startswith(wanted))

    def match(row: FleetRow) -> bool:
        node = row.node
        if wanted in node.key.name.lower() or within[node.category]:
            return True
        if states and (node.stage in states or node.admission in states or node.readiness in states):
            return True
        running = node.image.running
        if running is not None and within[running]:
            return True
        holds = node.holds
        if (twin := row.twin) is not None:
            if wanted in twin.key.name.lower() or within[twin.category]:
                return True
            holds = (*holds, *twin.holds)
        for hold in holds:
            if within[hold.by] or within[hold.reason]:
                return True
        if row.work is not None:
            for workload in row.work.workloads:
                if within[workload.name]:
                    return True
        return False

    return match
