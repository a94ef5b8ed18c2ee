"""The arithmetic of a cursor and a scroll offset over lines that come, go and move. No widget in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Viewport:
    """`top` is the first line on screen, `height` how many fit, `length` how many there are, `cursor` the chosen one."""

    top: int = 0
    height: int = 0
    length: int = 0
    cursor: int = 0

    @property
    def sees_cursor(self) -> bool:
        return self.top <= self.cursor < self.top + self.height

    @property
    def last(self) -> int:
        """One past the last line on screen."""
        return min(self.length, self.top + self.height)

    def move_to(self, index: int) -> None:
        """Put the cursor on the line nearest to `index` and scroll just so far that it is seen."""
        self.cursor = max(0, min(index, self.length - 1))
        self.reveal()

    def reveal(self) -> None:
        """Scroll just so far that the cursor is seen."""
        if self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + self.height:
            self.top = self.cursor - self.height + 1
        self.settle()

    def scroll(self, by: int) -> None:
        """Move the view and leave the cursor where it is."""
        self.top += by
        self.settle()

    def settle(self) -> None:
        """Leave no blank below the last line that lines above could fill."""
        self.top = max(0, min(self.top, self.length - self.height))

    def follow(self, cursor: int, length: int) -> None:
        """The lines changed and the cursor's line is at `cursor` now: keep it at the same height on screen."""
        seen = self.sees_cursor
        shift = cursor - self.cursor
        self.length = length
        self.cursor = max(0, min(cursor, length - 1))
        if seen and self.top > 0:
            self.top += shift
        self.settle()
        if seen:
            self.reveal()

    def resize(self, height: int) -> None:
        """So many lines fit now; a cursor that was seen still is."""
        seen = self.sees_cursor or self.height == 0
        self.height = max(0, height)
        self.settle()
        if seen:
            self.reveal()
