"""Writes the drill's pictures to screenshots/, from the plays of its snapshot tests.

Run by `python -m tests.snapshots.make_drill_screenshots`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.snapshots.drill_scenes import drill_scene
from tests.snapshots.pictures import png_of, svg_of

FOLDER = Path(__file__).parents[2] / "screenshots"
SHOWN = (
    ("begin", (120, 40)),
    ("gate", (120, 40)),
    ("patch", (120, 40)),
    ("wrong-key", (80, 24)),
    ("report", (120, 40)),
)


async def make(folder: Path = FOLDER) -> None:
    """Draw them anew."""
    for name, size in SHOWN:
        async with drill_scene(name, size) as at:
            svg = svg_of(at.app, "quarterdeck drill")
        stem = f"drill-{name}" if size == (120, 40) else f"drill-{name}-{size[0]}x{size[1]}"
        (folder / f"{stem}.svg").write_text(svg)
        (folder / f"{stem}.png").write_bytes(png_of(svg))


if __name__ == "__main__":
    asyncio.run(make())
