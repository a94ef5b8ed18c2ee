"""Keeps a node pane up to date: the row from the store, the GPUs read raw every few seconds, their past once it is asked for.

The past is read only of a node that stays on screen, and not again before there is a new point of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.timer import Timer

from fleet.health import Finding, GateRecord
from fleet.history import SPANS, Metric, Span
from fleet.node import NodeKey
from tui import readings
from tui.past import Lately, read_lately
from tui.readings import GpuReading, PastReading
from tui.screens.base import DeckScreen
from tui.session import Session
from widgets.charts import Past
from widgets.gpu_pane import GpuPane
from widgets.node_facts import NodeView
from widgets.node_pane import NodePane

_SETTLED = 0.25
"""Seconds that a node must be looked at before its past is asked for: a cursor that runs by asks for nothing."""

_TREND_STEPS = 30
"""Steps of this program's own readings in a GPU's trend: a quarter of an hour."""


class NodeWatch:
    """Feeds the one pane of a screen. Reads nothing while it looks at no node."""

    def __init__(
        self, screen: DeckScreen[Any], session: Session, pane: type[NodePane | GpuPane] = NodePane
    ) -> None:
        self._pane = pane
        self._past: PastReading | None = None
        self._past_at = 0.0
        self._settling: Timer | None = None
        self._screen = screen
        self._session = session
        self._node: NodeKey | None = None
        self._gpus: GpuReading | None = None
        self._lately = Lately()
        self._timer: Timer | None = None

    @property
    def node(self) -> NodeKey | None:
        """What is looked at."""
        return self._node

    def look_at(self, node: NodeKey | None) -> None:
        """Show another node, or none."""
        if node != self._node:
            self._node, self._gpus, self._past, self._lately = node, None, None, Lately()
            for timer in (self._timer, self._settling):
                if timer is not None:
                    timer.stop()
            self._screen.workers.cancel_group(self._screen, "history")
            self._timer = None if node is None else self._screen.set_interval(readings.EVERY_GPU, self._read)
            if node is not None:
                self._read()
                self._settling = self._screen.set_timer(_SETTLED, self._read_past)
        self.paint()

    def turn_span(self, by: int) -> None:
        """Show a shorter or a longer past, round and round."""
        spans = list(SPANS)
        self._session.span = spans[(spans.index(self._session.span) + by) % len(spans)]
        self._past = None
        self._screen.workers.cancel_group(self._screen, "history")
        if self._node is not None:
            self._read_past()
        self.paint()

    def paint(self) -> None:
        """Show the node as it is known now."""
        pane = self._screen.query_one(self._pane)
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
                trails=self._trails(row.key),
                past=self._shown_past(),
                latest=self._lately.entries,
                record=self._lately.record,
            )
        )

    def _shown_past(self) -> Past | None:
        if self._session.deck.history is None:
            return None
        read, span = self._past, self._session.span
        return Past(span, read.history, read.why) if read is not None else Past(span)

    def _trails(self, node: NodeKey) -> Mapping[str, Sequence[float | None]]:
        """How busy each GPU was: over the span that is shown where that is known, else as far as it was seen here."""
        past = self._past.history if self._past is not None else None
        lines = {line.name: line.values for line in past.of(Metric.UTIL)} if past is not None else {}
        kept = self._session.deck.trails
        seen = kept.gpus(node, Metric.UTIL, _TREND_STEPS) if kept is not None else {}
        return {**seen, **lines}

    def _findings(self, node: NodeKey) -> Sequence[Finding]:
        """What the last gate found, passing checks included: of this sitting, else as the journal has the verdict on the node."""
        row = self._session.deck.store.record(node)
        kept = row.node.gate if row is not None else None
        runs = reversed(list(self._session.deck.dispatcher.runs.values()))
        ours = next((run.records[node] for run in runs if node in run.records), None)
        if ours is not None and not _is_newer(kept, ours):
            return ours.findings
        judged = self._lately.judged
        if kept is None or judged is None or not kept.digest or kept.digest != judged.digest:
            return ()
        return judged.findings

    def _read(self) -> None:
        node = self._node
        if node is not None:
            self._screen.run_worker(self._take(node), group="gpus", exclusive=True)
            self._screen.run_worker(self._take_lately(node), group="lately", exclusive=True)
            waited = self._session.deck.clock.monotonic() - self._past_at
            if self._past is not None and waited >= self._session.span.step.total_seconds():
                self._read_past()

    def _read_past(self) -> None:
        node, deck = self._node, self._session.deck
        if node is not None and deck.history is not None:
            self._past_at = deck.clock.monotonic()
            self._screen.run_worker(
                self._take_past(node, self._session.span), group="history", exclusive=True
            )

    async def _take_past(self, node: NodeKey, span: Span) -> None:
        found = await readings.read_past(self._session.deck, node, span)
        if node == self._node and span == self._session.span:
            before = self._past.history if self._past is not None else None
            self._past = found if found.history is not None else PastReading(before, found.why)
            self.paint()

    async def _take_lately(self, node: NodeKey) -> None:
        found = await read_lately(self._session.deck, node)
        if node == self._node and found != self._lately:
            self._lately = found
            self.paint()

    async def _take(self, node: NodeKey) -> None:
        found = await readings.read_gpus(self._session.deck, node)
        if found.node == self._node:
            self._gpus = found
            self.paint()


def _is_newer(kept: GateRecord | None, ours: GateRecord) -> bool:
    """Whether somebody judged the node after us."""
    if kept is None or kept.at is None or ours.at is None:
        return False
    return kept.digest != ours.digest and kept.at > ours.at
