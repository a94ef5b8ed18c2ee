"""The bits of the clock event reasons have names."""

from __future__ import annotations

import pytest

from fleet.clock_reasons import is_slowed, named


@pytest.mark.parametrize(
    ("reasons", "names"),
    [
        (0, ()),
        (0x1, ("idle",)),
        (0x44, ("HW thermal", "power cap")),
        (0xE8, ("HW thermal", "SW thermal", "power brake", "HW slowdown")),
        (0x201, ("idle", "bit 0x200")),
    ],
)
def test_reasons_are_named_gravest_first(reasons: int, names: tuple[str, ...]) -> None:
    assert named(reasons) == names


@pytest.mark.parametrize("bit", [0x8, 0x20, 0x40, 0x80])
def test_heat_and_power_are_a_slowing(bit: int) -> None:
    assert is_slowed(bit | 0x1)


@pytest.mark.parametrize("bit", [0x0, 0x1, 0x2, 0x4, 0x10, 0x100])
def test_rest_and_a_limit_set_by_people_are_none(bit: int) -> None:
    assert not is_slowed(bit)
