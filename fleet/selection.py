"""The selection language of the filter bar and the command line: which nodes are meant.

    category=h100,a100 image!=v2 stage=quarantined gpu_temp>85 !rack=r7 name=gpu-h1* "board swap"

Terms are all to be true. A term is a field with an operator and a value (or a comma list of them), or a bare word,
which is looked for in name, category, image, holder, reason and workloads. `!` before a term turns it round. Texts
compare without case, `*` and `?` are globs unless quoted, `none` is an absent text. A number that is unknown is neither
less, more, equal nor different: only `=unknown` finds it, also behind a `!`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from fleet.row import FleetRow
from fleet.selection_fields import ALIASES, FIELDS, ChoiceField, Field, NumberField
from fleet.selection_match import Term, Value, all_of, fits_choice, number_of
from fleet.selection_text import shown_with_caret

_WORD = re.compile(r'(?:(?!!=)[^\s"=<>])+')
_OPERATOR = re.compile(r"!=|>=|<=|=|>|<")
_BARE_VALUE = re.compile(r'[^\s",]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SPACE = re.compile(r"\s*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class SelectionError(ValueError):
    """A selection that can't be read: why, and at which character of `text` (0 to its length)."""

    def __init__(self, message: str, position: int, text: str) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.text = text

    def caret(self) -> str:
        """Two lines: the text, made printable and cut to fit a terminal, and a `^` under the place."""
        return shown_with_caret(self.text, self.position)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which nodes are meant. Equal selections have equal terms; `str` gives a text that parses to the same one."""

    terms: tuple[Term, ...] = ()
    _match: Callable[[FleetRow], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_match", all_of(self.terms))

    def matches(self, row: FleetRow) -> bool:
        """Whether the node is meant. A selection without terms means every node."""
        return self._match(row)

    @property
    def predicate(self) -> Callable[[FleetRow], bool]:
        """`matches` as a bare function, for a walk over many rows."""
        return self._match

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields it looks at; the empty name stands for bare words."""
        return frozenset(term.field for term in self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))


EVERYTHING = Selection()
"""The selection of every node."""


def parse(text: str) -> Selection:
    """Read a selection. Raises SelectionError, and nothing else, for a text that can't be read."""
    return Selection(tuple(_Reader(text).terms()))


class _Reader:
    """Reads a text from left to right; `at` is where it stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def terms(self) -> list[Term]:
        found = []
        self.skip_space()
        while self.at < len(self.text):
            found.append(self.term())
            self.skip_space()
        return found

    def skip_space(self) -> None:
        self.at = self.end_of(_SPACE)

    def end_of(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        return match.end() if match else self.at

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        raise SelectionError(message, self.at if position is None else position, self.text)

    def term(self) -> Term:
        negated = self.text.startswith("!", self.at) and not self.text.startswith("!=", self.at)
        if negated:
            self.at += 1
            if self.text.startswith("!", self.at):
                self.fail("one ! is enough")
        start = self.at
        if self.text.startswith('"', start):
            value = self.value()
            self.must_end()
            return Term("", "=", (value,), negated)
        word = self.text[start : self.end_of(_WORD)]
        self.at = start + len(word)
        operator = _OPERATOR.match(self.text, self.at)
        if operator is None:
            if not word:
                self.fail("a word or a field is missing after !")
            self.must_end()
            return Term("", "=", (Value(word),), negated)
        if not word:
            self.fail(f"a field is missing before {operator[0]}")
        known = self.field(word, start)
        self.at = operator.end()
        return Term(known.name, operator[0], self.values(known, operator[0], operator.start()), negated)

    def must_end(self) -> None:
        if self.at < len(self.text) and not self.text[self.at].isspace():
            self.fail("a space is missing here, or quote the whole word")

    def field(self, word: str, start: int) -> Field:
        name = word.lower()
        known = FIELDS.get(ALIASES.get(name, name))
        if known is None:
            self.fail(f"there is no field {_short(word)}{_meant(name, [*FIELDS, *ALIASES])}", start)
        return known

    def values(self, known: Field, operator: str, operator_at: int) -> tuple[Value, ...]:
        ranks = isinstance(known, NumberField) or (isinstance(known, ChoiceField) and known.ordered)
        if operator not in ("=", "!=") and not ranks:
            self.fail(f"{known.name} does not rank: use = or !=", operator_at)
        found = [self.checked_value(known, operator)]
        while self.text.startswith(",", self.at):
            if operator not in ("=", "!="):
                self.fail(f"{operator} takes one value")
            self.at += 1
            found.append(self.checked_value(known, operator))
        self.must_end()
        return tuple(found)

    def checked_value(self, known: Field, operator: str) -> Value:
        start = self.at
        if self.text.startswith(("=", "<", ">"), start):
            self.fail("there is no such operator: use = != < <= > >=, or quote the value")
        value = self.value()
        wrong = _why_not(known, operator, value)
        if wrong:
            self.fail(wrong, start)
        return value

    def value(self) -> Value:
        if self.text.startswith('"', self.at):
            quoted = _QUOTED.match(self.text, self.at)
            if quoted is None:
                self.fail("this quote is never closed")
            self.at = quoted.end()
            return Value(_ESCAPED.sub(r"\1", quoted[1]), quoted=True)
        bare = _BARE_VALUE.match(self.text, self.at)
        if bare is None:
            self.fail("a value is missing here")
        self.at = bare.end()
        return Value(bare[0])


def _why_not(known: Field, operator: str, value: Value) -> str:
    if isinstance(known, NumberField):
        if value.text.lower() == "unknown":
            return (
                ""
                if operator in ("=", "!=")
                else f"unknown is neither more nor less: use {known.name}=unknown"
            )
        number = number_of(known, value.text)
        if number is None:
            return f"{known.name} is a number, and {_short(value.text)} is none"
        if known.ratio and not 0 <= number <= 1:
            return f"{known.name} goes from 0 to 1, or is a percentage like 80%"
    if isinstance(known, ChoiceField) and not any(fits_choice(value, choice) for choice in known.choices):
        meant = _meant(value.text.lower(), list(known.choices))
        return f"{known.name} is never {_short(value.text)}{meant}: one of {', '.join(known.choices)}"
    if isinstance(known, ChoiceField) and operator not in ("=", "!=") and value.globs:
        return f"{operator} takes one value"
    return ""


def _meant(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word[:64], known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _short(word: str) -> str:
    return repr(word if len(word) <= 40 else word[:39] + "…")
