"""How every screen looks, at the narrowest and at a common size, in each theme. Look at a difference before accepting it:

pytest tests/snapshots --snapshot-update
"""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from tests.snapshots.pictures import svg_of
from tests.snapshots.scenes import WALKS, scene

SIZES = ((80, 24), (120, 40))
LOOKS = (
    *((name, size, theme) for name in WALKS for size in SIZES for theme in ("dark", "light")),
    *((name, (200, 50), "dark") for name in ("timeline", "drift", "offenders", "audit")),
    *(("drift", (120, 40), theme) for theme in ("colour-blind", "ascii")),
    *(("fleet", (120, 40), theme) for theme in ("colour-blind", "ascii")),
    *(("drain", (80, 24), theme) for theme in ("colour-blind", "ascii")),
)


class Picture(SingleFileSnapshotExtension):
    """One SVG a test, that a browser opens."""

    _file_extension = "svg"
    _write_mode = WriteMode.TEXT


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    LOOKS,
    ids=lambda value: value if isinstance(value, str) else "x".join(map(str, value)),
)
async def test_a_screen_looks_as_it_did(
    name: str, size: tuple[int, int], theme: str, snapshot: SnapshotAssertion
) -> None:
    async with scene(name, size, theme) as at:
        assert svg_of(at.app, "quarterdeck") == snapshot(extension_class=Picture)
