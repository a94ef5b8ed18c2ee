"""Which look a dashboard begins with: the one that was chosen, else one that the terminal's encoding can show."""

from __future__ import annotations

from dataclasses import replace

from tui import themes
from tui.choice import Choice
from tui.streams import lacking
from widgets.glyphs import UNICODE


def fitted(choice: Choice) -> Choice:
    """`choice` with the ascii theme and a word about it where no theme was chosen and our signs can't be printed."""
    encoding = lacking(UNICODE.letters)
    if choice.settings.theme or not encoding:
        return choice
    says = f"the encoding {encoding} lacks our signs: this is the ascii theme, --theme chooses another"
    return replace(choice, settings=replace(choice.settings, theme=themes.ASCII_NAME), look=says)
