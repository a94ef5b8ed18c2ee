"""Boots told apart: by their ids, and where a boot is known by its time alone, by more than that time wavers."""

import pytest

from fleet.health import same_boot


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("b3e1", "b3e1", True),
        ("b3e1", "c4f2", False),
        ("2026-03-01T03:00:00+00:00", "2026-03-01T03:00:01+00:00", True),
        ("2026-03-01T03:00:00+00:00", "2026-03-01T03:00:20+00:00", False),
        ("2026-03-01T03:00:00+00:00", "", False),
        ("2026-03-01T03:00:00+00:00", "2026-03-01T03:00:00", False),
        ("", "", True),
    ],
)
def test_one_boot_is_one_however_its_time_wavers(one: str, other: str, same: bool) -> None:
    assert same_boot(one, other) is same
    assert same_boot(other, one) is same
