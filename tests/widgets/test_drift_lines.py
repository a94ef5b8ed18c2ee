"""The matrix in cells: the odd marked by a sign as by a colour, what does not fit said, nothing wider than there is room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.drift import Matrix, matrix_of
from fleet.node import Software
from fleet.policy import Policy
from tests.builders import node, row
from widgets.drift_lines import cell_lines, cell_text, first_shown, matrix_lines
from widgets.glyphs import ASCII, UNICODE
from widgets.lines import width_of_line
from widgets.tones import Tone


def matrix(*kernels: str) -> Matrix:
    return matrix_of(
        [
            row(of=replace(node(f"n{number}"), software=Software("570", "12.8", kernel)))
            for number, kernel in enumerate(kernels)
        ],
        Policy(),
    )


def kernel_cell(*kernels: str) -> tuple[str, str, Tone]:
    found = matrix(*kernels)
    return cell_text(
        next(c for c in found.rows[0].cells if c.aspect.value == "kernel"), len(kernels), UNICODE
    )


@pytest.mark.parametrize(
    ("kernels", "shown"),
    [
        (("a", "a", "a"), ("a", "", Tone.GOOD)),
        (("a", "a", "b"), ("a", "▲1", Tone.WARN)),
        (("a", "a", ""), ("a", "?1", Tone.UNKNOWN)),
        (("a", "a", "b", ""), ("a", "▲1 ?1", Tone.WARN)),
        (("a", "b"), ("split", "▲2", Tone.WARN)),
    ],
)
def test_a_cell_says_what_is_expected_and_how_many_are_odd_or_unknown(
    kernels: tuple[str, ...], shown: tuple[str, str, Tone]
) -> None:
    assert kernel_cell(*kernels) == shown


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("column", [0, 2, -1])
def test_the_matrix_fits_and_shows_the_column_of_the_cursor(width: int, glyphs: object, column: int) -> None:
    found = matrix("6.8.0-1025-nvidia-lowlatency", "6.8.0-1025-nvidia-lowlatency", "6.8.0-51")
    column %= len(found.aspects)
    lines, _ = matrix_lines(found, (0, column), 0, glyphs, width)  # type: ignore[arg-type]
    assert all(width_of_line(line) <= width for line in lines)
    assert found.aspects[column].value in "".join(text for text, _ in lines[0])


def test_the_first_column_moves_no_more_than_the_cursor_takes() -> None:
    widths = [10, 10, 10, 10]
    assert first_shown(widths, 1, 0, 30) == 0
    assert first_shown(widths, 3, 0, 30) == 2
    assert first_shown(widths, 0, 2, 30) == 0


def test_a_value_of_more_nodes_than_are_named_says_how_many_more() -> None:
    found = matrix(*["a"] * 30, *["b"] * 20)
    cell = next(cell for cell in found.rows[0].cells if cell.aspect.value == "kernel")
    text = "\n".join("".join(text for text, _ in line) for line in cell_lines(found.rows[0], cell, UNICODE))
    assert "expected a, as 30 of 50 nodes have" in text
    assert "and 8 more" in text
