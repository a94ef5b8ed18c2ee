"""Keeps a node pane up to date: the row from the store, the GPUs read raw every few seconds while they are on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.timer import Timer

from fleet.health import Finding
from fleet.node import NodeKey
from tui import readings
from tui.readings import GpuReading
from tui.screens.base import DeckScreen
from tui.session import Session
from widgets.node_facts import NodeView
from widgets.node_pane import NodePane


class NodeWatch:
    """Feeds the one `NodePane` of a screen. Reads nothing while it looks at no node."""

    def __init__(self, screen: DeckScreen[Any], session: Session) -> None:
        self._screen = screen
        self._session = session
        self._node: NodeKey | None = None
        self._gpus: GpuReading | None = None
        self._timer: Timer | None = None

    @property
    def node(self) -> NodeKey | None:
        """What is looked at."""
        return self._node

    def look_at(self, node: NodeKey | None) -> None:
        """Show another node, or none."""
        if node != self._node:
            self._node, self._gpus = node, None
            if self._timer is not None:
                self._timer.stop()
            self._timer = None if node is None else self._screen.set_interval(readings.EVERY_GPU, self._read)
            if node is not None:
                self._read()
        self.paint()

    def paint(self) -> None:
        """Show the node as it is known now."""
        pane = self._screen.query_one(NodePane)
        row = self._session.deck.store.record(self._node) if self._node is not None else None
        if row is None:
            pane.show(None)
            return
        gpus = self._gpus
        pane.show(
            NodeView(
                row,
                self._session.scene(),
                gpus=gpus.rows if gpus else None,
                gpus_why=gpus.why if gpus else "reading…",
                findings=self._findings(row.key),
            )
        )

    def _findings(self, node: NodeKey) -> Sequence[Finding]:
        """What the last gate of this sitting found, passing checks included."""
        runs = reversed(list(self._session.deck.dispatcher.runs.values()))
        record = next((run.records[node] for run in runs if node in run.records), None)
        return record.findings if record is not None else ()

    def _read(self) -> None:
        node = self._node
        if node is not None:
            self._screen.run_worker(self._take(node), group="gpus", exclusive=True)

    async def _take(self, node: NodeKey) -> None:
        found = await readings.read_gpus(self._session.deck, node)
        if found.node == self._node:
            self._gpus = found
            self.paint()
