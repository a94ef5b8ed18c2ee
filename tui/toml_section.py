"""A table of the settings file, read strictly: each key has a type, and one nobody asked for is an error."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
D = TypeVar("D")

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

_YEAR_SECONDS = 366 * 86400


class BadSettings(Exception):
    """A wrong settings file, key or value."""

    def __init__(self, file: Path | str, key: str, says: str) -> None:
        super().__init__(f"{file}: {key}: {says}" if key else f"{file}: {says}")


def span(text: str) -> timedelta:
    """A duration like `90s`, `15m`, `1h30m` or a plain number of seconds, at most a year. Raises ValueError."""
    stripped = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        stripped += "s"
    parts = _SPAN.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise ValueError(f"{text!r} is not a duration like 90s, 15m or 1h30m")
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if seconds > _YEAR_SECONDS:
        raise ValueError(f"{text!r} is longer than a year")
    return timedelta(seconds=seconds)


class Section:
    """One table. Each getter takes a key out; `finish` refuses what is left."""

    def __init__(self, file: Path, name: str, table: Mapping[str, Any]) -> None:
        self._file = file
        self._name = name
        self._table = dict(table)
        self._asked: set[str] = set()

    def text(self, key: str, default: str) -> str:
        return self._typed(key, str, "a text", default)

    def optional_text(self, key: str) -> str | None:
        return self._typed(key, str, "a text", None)

    def flag(self, key: str, *, default: bool) -> bool:
        return self._typed(key, bool, "true or false", default)

    def optional_flag(self, key: str) -> bool | None:
        return self._typed(key, bool, "true or false", None)

    def integer(self, key: str, default: int, *, least: int) -> int:
        found = self.optional_integer(key, least=least)
        return default if found is None else found

    def optional_integer(self, key: str, *, least: int) -> int | None:
        found = self._typed(key, int, "a whole number", None)
        if found is not None and found < least:
            raise self.bad(key, f"expected a whole number of at least {least}, found {found!r}")
        return found

    def optional_number(self, key: str) -> float | None:
        found = self._take(key)
        if found is None:
            return None
        if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
            return found
        raise self.bad(key, f"expected a number, found {found!r}")

    def optional_integers(self, key: str) -> tuple[int, ...] | None:
        found = self._typed(key, list, "a list of whole numbers", None)
        if found is None:
            return None
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in found):
            raise self.bad(key, f"expected a list of whole numbers, found {found!r}")
        return tuple(found)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._typed(key, list, "a list of texts", [])
        if not all(isinstance(item, str) for item in found):
            raise self.bad(key, f"expected a list of texts, found {found!r}")
        return tuple(found)

    def mapping_of_texts(self, key: str) -> dict[str, str]:
        found = self._typed(key, dict, "a table of texts", {})
        if not all(isinstance(item, str) for item in found.values()):
            raise self.bad(key, f"expected a table of texts, found {found!r}")
        return dict(found)

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        found = self.text(key, default)
        if found not in choices:
            raise self.bad(key, f"expected one of {', '.join(c for c in choices if c)}, found {found!r}")
        return found

    def path(self, key: str) -> Path | None:
        found = self.optional_text(key)
        return None if found is None else (self._file.parent / Path(found).expanduser())

    def span(self, key: str, default: timedelta) -> timedelta:
        found = self._take(key)
        if found is None:
            return default
        try:
            value = span(str(found))
        except ValueError as error:
            raise self.bad(key, f"expected a duration like 90s, 15m or 1h30m, found {found!r}") from error
        if value <= timedelta(0):
            raise self.bad(key, f"expected more than nothing, found {found!r}")
        return value

    def optional_span(self, key: str) -> timedelta | None:
        """A duration of more than nothing, None where the key is absent."""
        self._asked.add(key)
        return self.span(key, timedelta(0)) if key in self._table else None

    def count_or_share(self, key: str, default: str) -> str:
        found = str(self._take(key) or default)
        if not re.fullmatch(r"[1-9]\d*|\d{1,3}%", found) or (found.endswith("%") and int(found[:-1]) > 100):
            raise self.bad(key, f"expected a count like 3 or a share like 10%, found {found!r}")
        return found

    def section(self, key: str, read: Callable[[Section], T]) -> T:
        """The table `key`, read by `read`; an empty one where it is absent."""
        section = self._subsection(key, self._typed(key, dict, "a table", {}))
        found = read(section)
        section.finish()
        return found

    def optional_section(self, key: str) -> Section | None:
        """The table `key`, None where it is absent. Its reader finishes it."""
        table: dict[str, Any] | None = self._typed(key, dict, "a table", None)
        return None if table is None else self._subsection(key, table)

    def sections(self, key: str) -> Iterator[tuple[str, Section]]:
        """The tables below `key`, by name. Their reader finishes each."""
        for name, table in self._typed(key, dict, "tables", {}).items():
            if not isinstance(table, dict):
                raise self.bad(f"{key}.{name}", f"expected a table, found {table!r}")
            yield name, self._subsection(f"{key}.{name}", table)

    def each(self) -> Iterator[tuple[str, Section]]:
        """Every table in this one, by name. Their reader finishes each."""
        for name in tuple(self._table):
            if (section := self.optional_section(name)) is not None:
                yield name, section

    def tables(self, key: str) -> list[Section]:
        """The list of tables `key` (`[[key]]`), each named by its place: `key.1`. Their reader finishes each."""
        found = self._typed(key, list, "a list of tables", [])
        if not all(isinstance(table, dict) for table in found):
            raise self.bad(key, f"expected a list of tables, found {found!r}")
        return [self._subsection(f"{key}.{number}", table) for number, table in enumerate(found, 1)]

    def finish(self) -> None:
        """Refuse a key that nobody asked for, naming the nearest that exists."""
        for key in self._table:
            near = difflib.get_close_matches(key, self._asked, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(self._asked))}"
            raise self.bad(key, f"unknown key{hint}")

    def bad(self, key: str, says: str) -> BadSettings:
        return BadSettings(self._file, ".".join(part for part in (self._name, key) if part), says)

    def _subsection(self, key: str, table: Mapping[str, Any]) -> Section:
        return Section(self._file, f"{self._name}.{key}" if self._name else key, table)

    def _take(self, key: str) -> Any:
        self._asked.add(key)
        return self._table.pop(key, None)

    def _typed(self, key: str, kind: type[T], expected: str, default: D) -> T | D:
        found = self._take(key)
        if found is None:
            return default
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise self.bad(key, f"expected {expected}, found {found!r}")
        return found
