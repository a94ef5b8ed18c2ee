"""Turns a node's facets into what its row shows. Pure: the same row and instant give the same cells.

Everything from outside passes `printable`. What is absent, stale, refused or not a number is drawn as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from fleet.flag import Flag
from fleet.history import Metric
from fleet.holder import HolderKind
from fleet.machine import Pair, disagree, truth
from fleet.node import Admission, Node, NodeKey, Readiness, Stage
from fleet.policy import Policy
from fleet.severity import Concern, Severity, concerns
from fleet.telemetry import Alert, NodeTelemetry
from fleet.trails import Trails
from fleet.workload import NodeWork
from widgets.columns import DEFAULT_COLUMNS, SHAPES, Column
from widgets.fitting import printable
from widgets.glyphs import UNICODE, Glyphs
from widgets.sparkline import sparkline
from widgets.tones import Tone
from widgets.wording import UNKNOWN, age, image_change, known, number, of_all, percent

HOT_CELSIUS = 85.0
WARM_CELSIUS = 78.0
NEAR_CELSIUS = 5.0
_TREND_STEPS = 30
"""Steps of what is remembered that make a quarter of an hour."""


class Row(Protocol):
    """A node with its other facets, as the store keeps it."""

    @property
    def node(self) -> Node: ...
    @property
    def work(self) -> NodeWork | None: ...
    @property
    def telemetry(self) -> NodeTelemetry | None: ...
    @property
    def alerts(self) -> tuple[Alert, ...]: ...
    @property
    def flags(self) -> tuple[Flag, ...]: ...
    @property
    def pending(self) -> str: ...
    @property
    def pair(self) -> Pair | None: ...


class Cell(NamedTuple):
    """What one column shows of one line.

    `bar` is a ratio of 0 to 1 drawn before the text; `sign` is a glyph before it with a tone of its own. `wide` stands for
    both bar and text where the column has room for a bar.
    """

    text: str
    tone: Tone = Tone.PLAIN
    bar: float | None = None
    sign: str = ""
    sign_tone: Tone = Tone.PLAIN
    wide: str = ""


UNKNOWN_CELL = Cell(UNKNOWN, Tone.UNKNOWN)
NOTHING = Cell("")


@dataclass(frozen=True, slots=True)
class Scene:
    """What rows are seen against: the instant, the policy, the signs, and what operations are doing to nodes.

    `keys` are those of the verbs, by the verb's word. `trails` are what was read of nodes lately, None where nothing is kept.
    `interrupted` says how to go on with what was cut off on a node.
    """

    now: datetime
    policy: Policy = field(default_factory=Policy)
    glyphs: Glyphs = UNICODE
    pending: Mapping[NodeKey, str] = field(default_factory=dict)
    last_known: Mapping[str, datetime] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    trails: Trails | None = None
    interrupted: Mapping[NodeKey, str] = field(default_factory=dict)

    def last_known_of(self, node: Node) -> str:
        """`last known 2h ago` of a node that its source has not shown in this run, else empty."""
        seen = self.last_known.get(node.key.source) if self.last_known else None
        return "" if seen is None else f"last known {age(seen, self.now)} ago"


def cells(row: Row, scene: Scene, columns: Sequence[Column] = DEFAULT_COLUMNS) -> tuple[Cell, ...]:
    """One cell a column. Nothing of a node that is only last known stands out as if it were so now."""
    painted = tuple(_PAINTERS[column](row, scene) for column in columns)
    if row.node.key.source not in scene.last_known:
        return painted
    return tuple(cell._replace(tone=Tone.MUTED, sign_tone=Tone.MUTED) for cell in painted)


SEVERITY_TONES: dict[Severity, Tone] = {
    Severity.OK: Tone.GOOD,
    Severity.UNKNOWN: Tone.UNKNOWN,
    Severity.NOTICE: Tone.NOTE,
    Severity.CLOSED: Tone.WARN,
    Severity.SUSPECT: Tone.WARN,
    Severity.STUCK: Tone.BAD,
    Severity.FAULT: Tone.BAD,
}


def severity_glyph(severity: Severity, glyphs: Glyphs) -> str:
    """The sign beside a severity's colour."""
    if severity is Severity.UNKNOWN:
        return glyphs.unknown
    if severity in (Severity.NOTICE, Severity.CLOSED):
        return glyphs.note
    if severity in (Severity.SUSPECT, Severity.STUCK):
        return glyphs.warn
    return glyphs.good if severity is Severity.OK else glyphs.bad


def _name(row: Row, scene: Scene) -> Cell:
    return Cell(printable(row.node.key.name, 120) or UNKNOWN, Tone.PLAIN)


_STAGE_TONES = {
    Stage.IN_SERVICE: Tone.GOOD,
    Stage.QUARANTINED: Tone.BAD,
    Stage.GATED: Tone.WARN,
    Stage.RETIRED: Tone.MUTED,
    Stage.DRAINED: Tone.WARN,
}


def _stage(row: Row, scene: Scene) -> Cell:
    """The stage; of a node in service that takes no work or is not ready, that instead."""
    node, stage = row.node, row.node.stage
    twin = row.pair.twin if row.pair is not None else None
    if twin is not None and disagree(node, twin) and stage in (Stage.IN_SERVICE, Stage.DRAINED):
        return Cell("half closed", Tone.WARN, sign=scene.glyphs.warn, sign_tone=Tone.WARN)
    if stage is Stage.IN_SERVICE and node.asleep and node.admission is Admission.OPEN:
        return Cell("asleep", Tone.NOTE, sign=scene.glyphs.note, sign_tone=Tone.NOTE)
    if stage is Stage.IN_SERVICE and node.readiness is not Readiness.READY and not node.asleep:
        return Cell(_admission(row, scene).text, Tone.BAD, sign=scene.glyphs.bad, sign_tone=Tone.BAD)
    if stage is Stage.IN_SERVICE and node.admission is not Admission.OPEN:
        return Cell(
            node.admission.value, Tone.WARN, sign=scene.glyphs.stages[Stage.DRAINED], sign_tone=Tone.WARN
        )
    tone = _STAGE_TONES.get(stage, Tone.NOTE)
    calm = Tone.MUTED if stage is Stage.IN_SERVICE else tone
    return Cell(stage.value, calm, sign=scene.glyphs.stages[stage], sign_tone=tone)


def _admission(row: Row, scene: Scene) -> Cell:
    node = row.node
    if node.readiness is Readiness.NOT_READY:
        return Cell("NotReady", Tone.BAD)
    if node.readiness is Readiness.UNKNOWN and not node.asleep:
        return Cell("not heard", Tone.BAD)
    return Cell(node.admission.value, Tone.MUTED if node.admission is Admission.OPEN else Tone.WARN)


def _gpus(row: Row, scene: Scene) -> Cell:
    node, work = row.node, row.work
    used = None if work is None else work.gpus_used
    if node.gpus_allocatable is None and node.mig_allocatable:
        return Cell(of_all(None if work is None else work.mig_used, node.mig_allocatable) + " MIG")
    whole = node.gpus_allocatable
    if whole is None and used is None:
        return UNKNOWN_CELL
    if whole is not None and node.gpus_capacity is not None and whole < node.gpus_capacity:
        return Cell(of_all(used, whole), Tone.WARN)
    return Cell(of_all(used, whole), Tone.PLAIN if used else Tone.MUTED)


def fresh(row: Row, scene: Scene) -> NodeTelemetry | None:
    """The row's telemetry, unless it is older than the policy believes."""
    seen = row.telemetry
    if seen is None or scene.now - seen.at > scene.policy.telemetry_fresh:
        return None
    return seen


def util_cell(value: float | None) -> Cell:
    """A utilisation in percent, with its bar."""
    value = known(value)
    if value is None:
        return UNKNOWN_CELL
    return Cell(percent(value), Tone.PLAIN if value >= 1 else Tone.MUTED, min(1.0, max(0.0, value / 100)))


def temp_cell(value: float | None) -> Cell:
    """A temperature in degrees Celsius: hot ones are bad, and marked so."""
    value = known(value)
    if value is None:
        return UNKNOWN_CELL
    tone = Tone.BAD if value >= HOT_CELSIUS else Tone.WARN if value >= WARM_CELSIUS else Tone.PLAIN
    return Cell(number(value) + ("!" if tone is Tone.BAD else ""), tone)


def power_cell(watts: float | None) -> Cell:
    """Power in kilowatts."""
    watts = known(watts)
    return UNKNOWN_CELL if watts is None else Cell(number(watts / 1000, 1))


def _util(row: Row, scene: Scene) -> Cell:
    seen = fresh(row, scene)
    return util_cell(seen.gpu_util if seen else None)


def _trend(row: Row, scene: Scene) -> Cell:
    """How busy its GPUs were in the last quarter of an hour, as far as it was read here."""
    if scene.trails is None:
        return NOTHING
    values = scene.trails.recent(row.node.key, Metric.UTIL, _TREND_STEPS)
    return Cell(sparkline(values, SHAPES[Column.TREND].width, scene.glyphs), Tone.NOTE)


def margin_cell(degrees: float | None) -> Cell:
    """Degrees that are left before the hardware slows a GPU down."""
    left = known(degrees)
    if left is None:
        return UNKNOWN_CELL
    if left <= 0:
        return Cell(f"{left:.0f}!", Tone.BAD)
    return Cell(f"{left:.0f}", Tone.WARN if left <= NEAR_CELSIUS else Tone.MUTED)


def _margin(row: Row, scene: Scene) -> Cell:
    seen = fresh(row, scene)
    return margin_cell(seen.temp_margin_min if seen else None)


def _temp(row: Row, scene: Scene) -> Cell:
    seen = fresh(row, scene)
    return temp_cell(seen.gpu_temp_max if seen else None)


def _memory(row: Row, scene: Scene) -> Cell:
    seen = fresh(row, scene)
    ratio = known(seen.fb_used_ratio) if seen else None
    return UNKNOWN_CELL if ratio is None else Cell(percent(ratio * 100))


def _power(row: Row, scene: Scene) -> Cell:
    seen = fresh(row, scene)
    return power_cell(seen.power_watts if seen else None)


def _xid(row: Row, scene: Scene) -> Cell:
    """The last XID with its age; the metric is sticky, so an age nobody told is said to be unknown."""
    seen = fresh(row, scene)
    if seen is None or seen.xid is None:
        return UNKNOWN_CELL
    if seen.xid == 0:
        return Cell("none", Tone.MUTED)
    forbidden = seen.xid in scene.policy.forbidden_xids
    return Cell(f"{seen.xid} {age(seen.xid_at, scene.now)}", Tone.BAD if forbidden else Tone.WARN)


def _image(row: Row, scene: Scene) -> Cell:
    image = row.node.image
    if image.running is None and image.desired is None:
        return UNKNOWN_CELL
    drifted = image.drifted
    text = image_change(image.running, image.desired, scene.glyphs.arrow)
    return Cell(
        text, Tone.WARN if drifted else Tone.UNKNOWN if drifted is None and not image.running else Tone.MUTED
    )


def _holder(row: Row, scene: Scene) -> Cell:
    node = row.node
    twin = row.pair.twin if row.pair is not None else None
    holds = node.holds if twin is None else (*node.holds, *twin.holds)
    hold = node.holder or (twin.holder if twin is not None else None)
    if hold is None:
        closed = node.admission is not Admission.OPEN
        return Cell("nobody said", Tone.WARN) if closed else NOTHING
    who = "nobody said" if hold.kind is HolderKind.UNNAMED and not hold.by else printable(hold.by, 60)
    others = {(each.by, each.operation) for each in holds} - {(hold.by, hold.operation)}
    more = f" +{len(others)}" if others else ""
    reason = f": {printable(hold.reason, 160)}" if hold.reason else ""
    return Cell(f"{who}{more}{reason}", Tone.NOTE if hold.kind is HolderKind.OURS else Tone.WARN)


def _work(row: Row, scene: Scene) -> Cell:
    work = row.work
    if work is None:
        return UNKNOWN_CELL
    if not work.workloads:
        return Cell("idle", Tone.MUTED)
    first, *others = work.workloads
    return Cell(printable(first.name, 80) + (f" +{len(others)}" if others else ""))


def _age(row: Row, scene: Scene) -> Cell:
    made = row.node.created
    return UNKNOWN_CELL if made is None else Cell(age(made, scene.now), Tone.MUTED)


def _source(row: Row, scene: Scene) -> Cell:
    """The source; of a machine in two, both, its other side after a plus."""
    pair = row.pair
    other = f"+{pair.twin.key.source}" if pair is not None and pair.twin is not None else ""
    return Cell(printable(f"{row.node.key.source}{other}", 60), Tone.MUTED)


def _status(row: Row, scene: Scene) -> Cell:
    """What matters about the node now: an operation under way, else the worst concern."""
    doing = scene.pending.get(row.node.key) or row.pending
    if doing:
        return Cell(printable(doing, 160), Tone.NOTE, sign=scene.glyphs.working, sign_tone=Tone.NOTE)
    found = concerns(row, scene.now, scene.policy)
    if known := scene.last_known_of(row.node):
        return _was(known, row, scene, found)
    if left := scene.interrupted.get(row.node.key):
        return _left(left, row, scene, found)
    if not found:
        return NOTHING
    told = [(concern.severity, text) for concern in found[:4] if (text := _in_short(concern, row, scene))]
    if not told:
        return NOTHING
    worst = told[0][0]
    tone = SEVERITY_TONES[worst]
    says = f" {scene.glyphs.bullet} ".join([printable(text, 160) for _, text in told])
    return Cell(says, tone, sign=severity_glyph(worst, scene.glyphs), sign_tone=tone)


def _left(left: str, row: Row, scene: Scene, found: Sequence[Concern]) -> Cell:
    """An operation was cut off here: that it can be resumed goes before what it left behind."""
    said = [left, *(printable(text, 160) for each in found[:3] if (text := _in_short(each, row, scene)))]
    worst = found[0].severity if found else Severity.CLOSED
    tone = SEVERITY_TONES[max(worst, Severity.CLOSED)]
    return Cell(f" {scene.glyphs.bullet} ".join(said), tone, sign=scene.glyphs.warn, sign_tone=tone)


def _was(known: str, row: Row, scene: Scene, found: Sequence[Concern]) -> Cell:
    """What an earlier run saw; that there is no telemetry now goes without saying."""
    told = [each for each in found if each.about != "telemetry" or row.telemetry is not None][:4]
    said = [known, *(printable(text, 160) for each in told if (text := _in_short(each, row, scene)))]
    return Cell(f" {scene.glyphs.bullet} ".join(said), sign=scene.glyphs.unknown)


def _in_short(concern: Concern, row: Row, scene: Scene) -> str:
    """A concern's text less what other columns say; empty where nothing is left."""
    if concern.about == "stage":
        return concern.text.removeprefix(row.node.stage.value).strip()
    if concern.about == "idle" and row.telemetry is not None:
        return f"{row.telemetry.idle_held} idle: {row.telemetry.idle_holder}"
    if concern.about == "drift" and row.node.image.running is not None:
        return f"drift {image_change(row.node.image.running, row.node.image.desired, scene.glyphs.arrow)}"
    if concern.about == "pair" and row.pair is not None and (told := _closed_side(row.node, row.pair)):
        return told
    return concern.text.removeprefix("last ")


def _closed_side(node: Node, pair: Pair) -> str:
    """What the side says that closed a machine by half: the other one is open. Empty where they agree."""
    if pair.twin is None or not disagree(node, pair.twin):
        return ""
    closed = pair.twin if node.admission is Admission.OPEN else node
    kind = "Slurm" if closed.key.source == pair.slurm else "Kubernetes"
    return f"{kind}: {truth(closed, pair.slurm).partition(': ')[2]}"


_PAINTERS: dict[Column, Callable[[Row, Scene], Cell]] = {
    Column.NAME: _name,
    Column.STAGE: _stage,
    Column.ADMISSION: _admission,
    Column.GPUS: _gpus,
    Column.UTIL: _util,
    Column.TREND: _trend,
    Column.TEMP: _temp,
    Column.MARGIN: _margin,
    Column.MEMORY: _memory,
    Column.POWER: _power,
    Column.XID: _xid,
    Column.IMAGE: _image,
    Column.HOLDER: _holder,
    Column.WORK: _work,
    Column.AGE: _age,
    Column.SOURCE: _source,
    Column.STATUS: _status,
}
