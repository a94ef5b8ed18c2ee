"""What opens over the fleet but is no verb: screens that look, and choices. How each is opened, and what comes back from it.

The screens are imported when they are first wanted: the first frame does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.node import NodeKey
from fleet.sorting import Sort
from tui import readings
from tui.screens.choose import Choice, ChooseScreen
from widgets.columns import SHAPES, SORTS, Column
from widgets.tones import Tone
from widgets.wording import counted

if TYPE_CHECKING:
    from tui.screens.drift import Picked
    from tui.screens.fleet import FleetScreen


class Beside:
    """The ways from the fleet to what is beside it."""

    def __init__(self, fleet: FleetScreen) -> None:
        self._fleet = fleet

    def heat(self) -> None:
        """The heat map of the nodes that the filter shows; then the node that was chosen there."""
        from tui.screens.heat import HeatScreen

        fleet = self._fleet
        told = str(fleet.view.selection)
        nodes = fleet.view.nodes() if told else None

        def chosen(node: NodeKey | None) -> None:
            if node is not None:
                fleet.go_to(node)

        fleet.app.push_screen(HeatScreen(fleet.session, nodes, told), chosen)

    def gpus(self) -> None:
        """Every GPU of the node under the cursor, in full."""
        from tui.screens.gpus import GpuScreen

        self._fleet.app.push_screen(GpuScreen(self._fleet.session, self._node()))

    def timeline(self) -> None:
        """What happened to the node under the cursor."""
        from tui.screens.timeline import TimelineScreen

        self._fleet.app.push_screen(TimelineScreen(self._fleet.session, self._node()))

    def drift(self) -> None:
        """Which nodes run what they should not; then show in the table what was picked there."""
        from tui.screens.drift import DriftScreen

        fleet = self._fleet

        def picked(found: Picked | None) -> None:
            if found is not None and found.selection:
                fleet.show_only(found.selection)
            elif found is not None:
                fleet.table.set_marks(found.marks)

        fleet.app.push_screen(DriftScreen(fleet.session), picked)

    def audit(self) -> None:
        """Who did what."""
        from tui.screens.audit import AuditScreen

        self._fleet.app.push_screen(AuditScreen(self._fleet.session))

    def sort(self) -> None:
        """Choose the column to sort by."""
        fleet = self._fleet
        chosen = next((name.value for name, by in SORTS.items() if fleet.view.sort.column in by), "")
        choices = [Choice(column.value, SHAPES[column].title, _SORT_SAYS.get(column, "")) for column in SORTS]

        def picked(value: str | None) -> None:
            if value:
                fleet.sort_by(Sort.by(SORTS[Column(value)][0]))

        fleet.app.push_screen(ChooseScreen("Sort by", choices, chosen), picked)

    def fault(self) -> None:
        """Choose how to break the marked nodes or the one under the cursor, on a simulated fleet."""
        fleet = self._fleet
        desk, nodes = fleet.session.deck.faults, fleet.targets
        if desk is None:
            return
        choices = [Choice(name, name.replace("_", " "), _FAULT_SAYS.get(name, "")) for name in desk.names] + [
            Choice("mend", "mend", "take every fault back")
        ]

        named = nodes[0].name if len(nodes) == 1 else counted(len(nodes), "node")

        def picked(value: str | None) -> None:
            if value:
                fleet.run_worker(self._break(value, nodes), group="faults")

        fleet.app.push_screen(ChooseScreen(f"Break {named}", choices), picked)

    async def _break(self, fault: str, nodes: tuple[NodeKey, ...]) -> None:
        said = [await readings.break_node(self._fleet.session.deck, fault, node) for node in nodes]
        self._fleet.say("; ".join(said), Tone.NOTE)

    def _node(self) -> NodeKey:
        """The node under the cursor; of a group or of marks, the first."""
        at = self._fleet.table.cursor_key
        return at if isinstance(at, NodeKey) else self._fleet.targets[0]


_FAULT_SAYS = {
    "xid": "a GPU reports an XID: 79, it has fallen off the bus",
    "ecc": "a double-bit memory error: XID 48 and a remapped row",
    "row_remap": "a memory row that could not be remapped: XID 64",
    "hot_gpu": "a GPU runs hot",
    "exporter_gone": "no telemetry comes from the node any more",
    "device_plugin_gone": "the node offers no GPUs any more",
    "unreachable": "its agent falls silent; what runs there goes on, unseen",
    "boot_hangs": "it does not come back from its next boot",
    "budget_blocks": "disruption budgets let no pod of it be evicted",
    "too_few_gpus": "a GPU that the machine does not find, and no XID",
    "gpu_hangs": "what begins on a GPU never ends, and nothing tells of it",
}

_SORT_SAYS = {
    Column.STATUS: "what wants attention most",
    Column.GPUS: "GPUs that work has asked for",
    Column.UTIL: "mean utilisation",
    Column.TEMP: "the hottest GPU",
    Column.HOLDER: "who keeps it closed",
    Column.WORK: "how many workloads",
}
