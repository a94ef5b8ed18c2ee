"""The four looks. Colours come in few, so that what stands out means something; every one has a sign or a word beside it."""

from __future__ import annotations

from textual.theme import Theme

from widgets.glyphs import ASCII, UNICODE, Glyphs

ASCII_NAME = "ascii"

DARK = Theme(
    name="dark",
    primary="#6cb6ff",
    secondary="#8b949e",
    accent="#c297ff",
    success="#6bc46d",
    warning="#e3b341",
    error="#ff7b72",
    foreground="#d7dde5",
    background="#0d1117",
    surface="#151b23",
    panel="#1d252f",
    dark=True,
    variables={"footer-key-foreground": "#6cb6ff", "border-blurred": "#30363d"},
)

LIGHT = Theme(
    name="light",
    primary="#0b62b8",
    secondary="#57606a",
    accent="#7a3fc2",
    success="#1a7f37",
    warning="#8a5a00",
    error="#b42318",
    foreground="#1f2328",
    background="#fdfdfb",
    surface="#f2f3f0",
    panel="#e6e8e4",
    dark=False,
    variables={"border-blurred": "#c4c9cf"},
)

COLOUR_BLIND = Theme(
    name="colour-blind",
    # The palette of Okabe and Ito, lightened for a dark ground: no two meanings differ by red against green.
    primary="#56b4e9",
    secondary="#9aa4ae",
    accent="#e8a0c8",
    success="#4fc3b0",
    warning="#f0e442",
    error="#ff8c3b",
    foreground="#e2e6ea",
    background="#0f1216",
    surface="#171c22",
    panel="#20272f",
    dark=True,
    variables={"border-blurred": "#363f49"},
)

PLAIN = Theme(
    name=ASCII_NAME,
    primary="#5fafff",
    secondary="#8a8a8a",
    accent="#d787ff",
    success="#5fd75f",
    warning="#ffd75f",
    error="#ff5f5f",
    foreground="#dadada",
    background="#000000",
    surface="#121212",
    panel="#1c1c1c",
    dark=True,
    variables={"border-blurred": "#444444"},
)

ALL: tuple[Theme, ...] = (DARK, LIGHT, COLOUR_BLIND, PLAIN)
"""In the order the theme key goes through."""


def after(name: str) -> str:
    """The name of the theme that follows."""
    names = [theme.name for theme in ALL]
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


def glyphs_of(name: str) -> Glyphs:
    """The signs that go with a theme."""
    return ASCII if name == ASCII_NAME else UNICODE
