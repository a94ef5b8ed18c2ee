"""How the drill looks at each of its stages, at the narrowest and at a common size. Accept a difference only after a look."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.snapshots.drill_scenes import PLAYS, drill_scene
from tests.snapshots.pictures import svg_of
from tests.snapshots.test_screens import Picture


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("name", PLAYS)
async def test_a_stage_looks_as_it_did(name: str, size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    async with drill_scene(name, size) as at:
        assert svg_of(at.app, "quarterdeck drill") == snapshot(extension_class=Picture)
