"""SVG and PNG of a screen, the same on every machine: no fonts from the web, no ids made from chance."""

from __future__ import annotations

import re
from pathlib import Path

import resvg_py

from tui.app import QuarterdeckApp

_WEB_FONTS = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)
_FAMILY = "DejaVu Sans Mono"
_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_UNIQUE = re.compile(r"terminal-\d+-")


def svg_of(app: QuarterdeckApp, title: str) -> str:
    """The screen as it is now."""
    drawn = app.export_screenshot(title=title)
    return _UNIQUE.sub("terminal-", _WEB_FONTS.sub("", drawn))


def png_of(svg: str) -> bytes:
    """The same as pixels, in the machine's DejaVu Sans Mono: its cells are as wide as the SVG's."""
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg.replace("Fira Code", _FAMILY),
            font_dirs=[str(_FONTS)] if _FONTS.is_dir() else None,
            monospace_family=_FAMILY,
        )
    )
