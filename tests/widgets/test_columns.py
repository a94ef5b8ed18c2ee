"""Which columns a width has room for."""

from __future__ import annotations

import pytest

from widgets.columns import DEFAULT_COLUMNS, Column, place


@pytest.mark.parametrize("width", [*range(20, 260, 7), 78, 118, 198])
def test_columns_fill_the_width_and_never_pass_it(width: int) -> None:
    placed = place(width, tuple(Column))
    assert sum(one.width + one.gap for one in placed) - placed[0].gap == width
    assert all(one.width > 0 for one in placed)


def test_eighty_columns_keep_what_an_operator_looks_at_first() -> None:
    placed = place(78)
    assert [one.column for one in placed] == [
        Column.NAME,
        Column.STAGE,
        Column.UTIL,
        Column.TEMP,
        Column.STATUS,
    ]
    widths = {one.column: one.width for one in placed}
    assert widths[Column.STATUS] >= 26


def test_beside_the_pane_utilisation_and_heat_stay() -> None:
    placed = place(62)
    assert [one.column for one in placed] == [
        Column.NAME,
        Column.STAGE,
        Column.UTIL,
        Column.TEMP,
        Column.STATUS,
    ]
    assert {one.column: one.width for one in placed}[Column.STATUS] >= 12


def test_a_chosen_utilisation_stays_where_it_is_all_that_was_chosen() -> None:
    assert Column.UTIL in [one.column for one in place(78, (Column.UTIL,))]


def test_a_wide_screen_has_them_all() -> None:
    assert tuple(one.column for one in place(230)) == DEFAULT_COLUMNS


def test_only_wanted_columns_are_shown() -> None:
    wanted = (Column.POWER, Column.NAME)
    assert [one.column for one in place(100, wanted)] == [Column.NAME, Column.POWER, Column.STATUS]
