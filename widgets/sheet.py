"""A piece of the screen that shows one text of tones, and is painted again only when that text differs."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget


class Sheet(Widget):
    """Base of the text widgets. A subclass says in `draw` what it shows in so many cells."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Sheet { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes=classes)
        self._drawn: tuple[int, Content] | None = None

    def draw(self, width: int) -> Content:
        """What is shown in `width` cells. Lines are at most that long, or are meant to wrap."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Paint, and lay out anew, only where what is drawn is another text."""
        if self._drawn is None:
            self.refresh(layout=True)
            return
        width, before = self._drawn
        after = self.draw(width)
        if not same(before, after):
            self._drawn = (width, after)
            self.refresh(
                layout=before.plain.count("\n") != after.plain.count("\n") or self._wraps(after, width)
            )

    def render(self) -> Content:
        return self._at(self.content_size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        drawn = self._at(width)
        return drawn.get_height({}, width) if drawn.plain else 0

    def _at(self, width: int) -> Content:
        if self._drawn is None or self._drawn[0] != width:
            self._drawn = (width, self.draw(width))
        return self._drawn[1]

    def _wraps(self, drawn: Content, width: int) -> bool:
        return any(len(line) > width for line in drawn.plain.split("\n"))


class TextSheet(Sheet):
    """A sheet of a text given from outside."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes=classes)
        self._text = Content()

    def show(self, text: Content) -> None:
        """Show this text."""
        self._text = text
        self.redraw()

    def draw(self, width: int) -> Content:
        return self._text


def same(first: Content, second: Content) -> bool:
    """Whether two texts look the same."""
    return first.plain == second.plain and first.spans == second.spans
