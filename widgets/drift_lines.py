"""The drift matrix as lines: a row a category, a cell a version with how many are odd or unknown; and one cell in full. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from fleet.drift import DriftCell, DriftRow, Matrix, Share
from fleet.offenders import Offences
from widgets.fitting import fit, fit_middle, printable, width_of
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece, cut, plain
from widgets.tones import Tone
from widgets.wording import UNKNOWN, age, counted

CATEGORY = 16
NARROWEST, WIDEST = 7, 24
NAMED = 12
"""So many nodes of one value are named under the matrix."""


def cell_text(cell: DriftCell, nodes: int, glyphs: Glyphs) -> tuple[str, str, Tone]:
    """What is expected, the signs of what is not so, and their tone: odd ones before unknown ones."""
    odd, unknown = len(cell.odd), len(cell.unknown)
    if not cell.known:
        return UNKNOWN, "", Tone.UNKNOWN
    signs = [*([f"{glyphs.warn}{odd}"] if odd else []), *([f"{glyphs.unknown}{unknown}"] if unknown else [])]
    tone = Tone.WARN if odd else Tone.UNKNOWN if unknown else Tone.GOOD
    return printable(cell.expected) or "split", " ".join(signs), tone


def widths_of(matrix: Matrix, glyphs: Glyphs) -> list[int]:
    """The cells that each column takes, without the gap after it."""
    widths = []
    for place, aspect in enumerate(matrix.aspects):
        texts = [cell_text(row.cells[place], row.nodes, glyphs) for row in matrix.rows]
        longest = max((width_of(f"{value} {signs}".strip()) for value, signs, _ in texts), default=0)
        widths.append(max(NARROWEST, width_of(aspect.value), min(longest, WIDEST)))
    return widths


def first_shown(widths: Sequence[int], at: int, first: int, width: int) -> int:
    """The first column to show, so that the one at the cursor is whole; moved no more than that takes."""
    first = min(first, at)
    while first < at and sum(size + 2 for size in widths[first : at + 1]) > width:
        first += 1
    return first


def matrix_lines(
    matrix: Matrix, at: tuple[int, int], first: int, glyphs: Glyphs, width: int
) -> tuple[list[LineOf], int]:
    """The head and a line a category, and the first column that is shown. `at` is (row, column) of the cursor."""
    name = min(CATEGORY, max((width_of(printable(row.category)) for row in matrix.rows), default=8) + 2)
    name = max(name, 10)
    room = width - name - 8
    widths = [max(NARROWEST, min(size, room - 2)) for size in widths_of(matrix, glyphs)]
    first = first_shown(widths, at[1], first, room)
    shown = list(_that_fit(widths, first, room))
    left, right = first, len(widths) - first - len(shown)
    head: list[Piece] = [
        (fit("category", name), Tone.MUTED),
        (fit("nodes", 6, right=True), Tone.MUTED),
        plain("  "),
    ]
    titles = "  ".join(fit(matrix.aspects[place].value, widths[place]) for place in shown)
    head.append((titles.rstrip(), Tone.MUTED))
    lines: list[LineOf] = [head]
    for number, row in enumerate(matrix.rows):
        lines.append(list(_row(row, number, at, shown, widths, name, glyphs)))
    if left or right:
        parts = ([f"{left} more to the left"] if left else []) + (
            [f"{right} more to the right"] if right else []
        )
        lines.append(cut([(f"{glyphs.arrow} {', '.join(parts)}", Tone.NOTE)], width))
    return lines, first


def _that_fit(widths: Sequence[int], first: int, room: int) -> Iterator[int]:
    for place in range(first, len(widths)):
        room -= widths[place] + 2
        if room < -1 and place > first:
            return
        yield place


def _row(
    row: DriftRow,
    number: int,
    at: tuple[int, int],
    shown: Sequence[int],
    widths: Sequence[int],
    name: int,
    glyphs: Glyphs,
) -> Iterator[Piece]:
    here = number == at[0]
    yield fit_middle(printable(row.category) or UNKNOWN, name - 1) + " ", Tone.STRONG if here else Tone.PLAIN
    yield fit(str(row.nodes), 6, right=True) + " ", Tone.MUTED
    for place in shown:
        value, signs, tone = cell_text(row.cells[place], row.nodes, glyphs)
        chosen = here and place == at[1]
        yield (glyphs.cursor if chosen else " "), Tone.NOTE
        size = widths[place]
        rest = size - width_of(signs) - 1 if signs else size
        text = (
            fit_middle(value, rest, ellipsis=glyphs.ellipsis) if width_of(value) > rest else fit(value, rest)
        )
        yield text, Tone.STRONG if chosen else Tone.UNKNOWN if value == UNKNOWN else Tone.PLAIN
        yield (f" {signs} " if signs else " "), tone


def cell_lines(row: DriftRow, cell: DriftCell, glyphs: Glyphs) -> Iterator[LineOf]:
    """One cell in full: what is expected and who says so, then each value with its nodes."""
    expected = printable(cell.expected)
    if cell.declared:
        says = f"{expected}, as the category declares"
    elif expected:
        most = next(len(share.nodes) for share in cell.shares if share.expected)
        says = f"{expected}, as {most:,} of {counted(row.nodes, 'node')} have"
    else:
        says = "nothing, for no value leads" if cell.known else "nothing: nobody tells"
    head = f"{printable(row.category) or UNKNOWN} {cell.aspect.value}"
    yield [(head, Tone.STRONG), (f"  expected {says}", Tone.MUTED)]
    for share in cell.shares:
        yield list(_share(share, glyphs))


def _share(share: Share, glyphs: Glyphs) -> Iterator[Piece]:
    if share.expected:
        yield f"{glyphs.good} ", Tone.GOOD
    elif share.odd:
        yield f"{glyphs.warn} ", Tone.WARN
    else:
        yield f"{glyphs.unknown} ", Tone.UNKNOWN
    yield printable(share.value, 80) or "unknown", Tone.PLAIN if share.value else Tone.UNKNOWN
    yield f"  {counted(len(share.nodes), 'node')}", Tone.MUTED
    if not share.expected:
        names = ", ".join(printable(node.name, 60) for node in share.nodes[:NAMED])
        more = f" and {len(share.nodes) - NAMED:,} more" if len(share.nodes) > NAMED else ""
        yield f"  {names}{more}", Tone.MUTED


def offender_line(
    each: Offences, now: datetime, state: str, *, chosen: bool, glyphs: Glyphs, name: int, says: int = 44
) -> list[Piece]:
    """A repeat offender: who, what, how lately, and how it stands now. `name` and `says` are the cells of the first two."""
    return [
        (f"{glyphs.cursor if chosen else ' '} ", Tone.NOTE),
        (fit_middle(printable(each.node.name), name) + "  ", Tone.STRONG if chosen else Tone.PLAIN),
        (fit(each.says, says) + "  ", Tone.BAD if each.failed_gates > 1 else Tone.WARN),
        (f"last {fit(age(each.last, now), 4, right=True)} ago  ", Tone.MUTED),
        (state, Tone.MUTED),
    ]
