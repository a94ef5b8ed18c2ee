"""The floor of every first frame: a Textual app that shows one word, with the collector off as ours has it."""

from __future__ import annotations

import gc
import os

gc.disable()
os.environ.setdefault("TEXTUAL_FPS", "240")

from textual.app import App, ComposeResult  # noqa: E402 - what is measured is what follows
from textual.widgets import Static  # noqa: E402

WORD = "bare-and-ready"


class BareApp(App[None]):
    """One word."""

    def compose(self) -> ComposeResult:
        yield Static(WORD)


if __name__ == "__main__":
    BareApp().run()
