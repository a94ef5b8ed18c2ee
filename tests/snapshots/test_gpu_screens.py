"""How a node's GPUs and their past look. Accept a difference only after a look."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.snapshots.gpu_scenes import SCENES, gpu_scene
from tests.snapshots.pictures import svg_of
from tests.snapshots.test_screens import Picture

SIZES = ((80, 24), (120, 40), (200, 50))
LOOKS = (
    *((name, size, "dark") for name in SCENES for size in SIZES),
    ("gpus", (120, 40), "ascii"),
    ("gpus", (120, 40), "light"),
    ("trends", (200, 50), "dark"),
)


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    LOOKS,
    ids=lambda value: value if isinstance(value, str) else "x".join(map(str, value)),
)
async def test_gpus_look_as_they_did(
    name: str, size: tuple[int, int], theme: str, snapshot: SnapshotAssertion
) -> None:
    async with gpu_scene(name, size, theme) as at:
        assert svg_of(at.app, "quarterdeck") == snapshot(extension_class=Picture)
