"""The node pane: everything known of one node, in one column or, where there is room, in two."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content

from widgets import node_facts
from widgets.lines import LineOf, safe, text_of, wrapped
from widgets.node_facts import NodeView
from widgets.sheet import Sheet
from widgets.tones import Tone

_WIDE = 110
Block = tuple[str, Callable[[NodeView, int], list[LineOf]]]


class _Blocks(Sheet):
    """Titled blocks, one below the other."""

    DEFAULT_CSS = "_Blocks { width: 1fr; height: auto; }"

    def __init__(self, *blocks: Block, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._blocks = blocks
        self._view: NodeView | None = None

    def show(self, view: NodeView | None) -> None:
        self._view = view
        self.redraw()

    def draw(self, width: int) -> Content:
        if self._view is None:
            return Content()
        lines: list[LineOf] = []
        for title, block in self._blocks:
            found = block(self._view, width)
            if found and title:
                lines.extend([[], [(title, Tone.STRONG)]] if lines else [[(title, Tone.STRONG)]])
            lines.extend(found)
        return text_of([part for line in lines for part in wrapped(safe(line), width)], width)


def _narrow(block: Callable[[NodeView], list[LineOf]]) -> Callable[[NodeView, int], list[LineOf]]:
    """A block whose lines do not depend on the width."""
    return lambda view, width: block(view)


class NodePane(VerticalScroll):
    """Shows a `NodeView`. Scrolls; repaints only what reads differently."""

    DEFAULT_CSS = """
    NodePane {
        padding: 0 1;
        scrollbar-size-vertical: 1;
        & > _Blocks.head { margin-bottom: 1; }
        & > _Blocks.past { margin-bottom: 1; }
        & > Horizontal { height: auto; margin-bottom: 1; }
        & > Horizontal > _Blocks.left { width: 2fr; margin-right: 3; }
        & > Horizontal > _Blocks.right { width: 3fr; }
        &.narrow > Horizontal { layout: vertical; }
        &.narrow > Horizontal > _Blocks.left { margin: 0 0 1 0; }
        &.narrow > Horizontal > _Blocks { width: 100%; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._view: NodeView | None = None
        self._head = _Blocks(("", _narrow(node_facts.head)), classes="head")
        self._now = _Blocks(
            ("now", _narrow(node_facts.wrong)),
            ("held by", _narrow(node_facts.holds)),
            ("lately", node_facts.lately),
            classes="left",
        )
        self._gpus = _Blocks(("GPUs", node_facts.gpus), ("work", _narrow(node_facts.work)), classes="right")
        self._past = _Blocks(("history", node_facts.history), classes="past")
        self._gate = _Blocks(("gate", _narrow(node_facts.gate)), classes="left")
        self._machine = _Blocks(
            ("machine", _narrow(node_facts.what_it_is)),
            ("conditions", _narrow(node_facts.conditions)),
            classes="right",
        )

    def compose(self) -> ComposeResult:
        yield self._head
        with Horizontal():
            yield self._now
            yield self._gpus
        yield self._past
        with Horizontal():
            yield self._gate
            yield self._machine

    @property
    def view(self) -> NodeView | None:
        """What is shown."""
        return self._view

    def show(self, view: NodeView | None) -> None:
        """Show this node; None clears the pane. Another node is shown from its top."""
        other = view is None or self._view is None or view.row.key != self._view.row.key
        self._view = view
        for blocks in (self._head, self._now, self._gpus, self._past, self._gate, self._machine):
            blocks.show(view)
        if other:
            self.scroll_home(animate=False)

    def watch_virtual_size(self) -> None:
        """Fold to one column by the size that it has, not by a Resize: Textual sends none where its map was asked for meanwhile."""
        self.set_class(self.size.width < _WIDE, "narrow")
