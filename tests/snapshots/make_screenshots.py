"""Writes screenshots/: what a user gets, from the same walks as the snapshot tests. Run by `make screenshots`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.snapshots.pictures import png_of, svg_of
from tests.snapshots.scenes import scene

FOLDER = Path(__file__).parents[2] / "screenshots"
MAIN = ("fleet", "node", "filter", "drain", "many", "draining", "operations", "operation", "palette", "help")
SHOWN = (
    *((name, (120, 40), "dark") for name in MAIN),
    ("fleet", (80, 24), "dark"),
    ("drain", (80, 24), "dark"),
    ("node", (200, 50), "dark"),
    ("fleet", (120, 40), "light"),
    ("fleet", (120, 40), "colour-blind"),
    ("fleet", (120, 40), "ascii"),
)


async def make(folder: Path = FOLDER) -> None:
    """Draw every picture anew."""
    folder.mkdir(exist_ok=True)
    for name, size, theme in SHOWN:
        async with scene(name, size, theme) as at:
            svg = svg_of(at.app, "quarterdeck")
        plain = size == (120, 40) and theme == "dark"
        stem = name if plain else f"{name}-{size[0]}x{size[1]}-{theme}"
        (folder / f"{stem}.svg").write_text(svg)
        (folder / f"{stem}.png").write_bytes(png_of(svg))


if __name__ == "__main__":
    asyncio.run(make())
