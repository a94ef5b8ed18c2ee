"""One answer of doctor's, and how it is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from fleet.text import clean

_MARKS = {True: "ok  ", False: "BAD ", None: "?   "}
_INDENT = " " * 5  # past the mark
_NARROWEST = 40


@dataclass(frozen=True, slots=True)
class Examined:
    """`ok` None: it can't be told. `facts` is what a script would have of it, None where the words are all.

    `listed` is more than a line holds, for people: titles, each with its items.
    """

    about: str
    ok: bool | None
    says: str
    mend: str = ""
    facts: Mapping[str, object] | None = None
    listed: Sequence[tuple[str, Sequence[str]]] = ()


def shape_of(answer: Examined) -> Mapping[str, object]:
    """What `doctor --json` prints of it: `facts` hold what is listed for people."""
    return {name: value for name, value in asdict(answer).items() if name != "listed"}


def lines_of(answer: Examined, width: int | None) -> Iterator[str]:
    """The answer in lines of at most `width` cells, as far as its words can be parted; None: of a script, a line an item."""
    mend = f" -> {answer.mend}" if answer.mend and not answer.ok else ""
    yield from _wrapped(f"{_MARKS[answer.ok]} {answer.about}: {clean(answer.says)}{clean(mend)}", "", width)
    for title, items in answer.listed:
        yield from _wrapped(clean(title), _INDENT, width)
        for item in items:
            yield from _wrapped(clean(item), _INDENT + "  ", width)


def _wrapped(text: str, indent: str, width: int | None) -> Iterator[str]:
    if width is None:
        yield indent + text
        return
    yield from textwrap.wrap(
        text,
        max(width, _NARROWEST),
        initial_indent=indent,
        subsequent_indent=indent + "  " if indent else _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
