"""What the node pane says of a node, as blocks of lines. Pure; unknown is said as unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fleet.health import Finding, Verdict
from fleet.history import Metric
from fleet.holder import HolderKind
from fleet.machine import truth
from fleet.node import Admission, Node, Readiness
from fleet.row import FleetRow
from fleet.severity import FLAG, concerns
from fleet.telemetry import GpuTelemetry
from fleet.timeline import Entry
from fleet.workload import Placement
from widgets.cells import SEVERITY_TONES, Cell, Scene, cells, severity_glyph
from widgets.charts import TWO_COLUMNS, Past, chart_lines
from widgets.clearing import what_clears
from widgets.columns import Column
from widgets.condition_lines import message_lines, says_more
from widgets.fitting import fit, printable
from widgets.glyphs import Glyphs
from widgets.gpu_cells import GpuScene
from widgets.gpu_lines import gpu_lines
from widgets.lines import LineOf, Piece, cut, plain
from widgets.timeline_lines import latest_lines
from widgets.tones import Tone
from widgets.wording import UNKNOWN, age, counted, image_change

LABEL = 11
"""Cells of the labels before the facts."""

NAME = 120
"""Characters of a name in the head: a longer one would push what it is about off the screen."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What the pane shows. `gpus` None: not asked for yet, or refused; `gpus_why` says so. `placements` where they were read.

    `trails` are the utilisations of its GPUs of late, by their names; `past` is what its charts draw, None where there is none.
    """

    row: FleetRow
    scene: Scene
    gpus: Sequence[GpuTelemetry] | None = None
    gpus_why: str = ""
    findings: Sequence[Finding] = ()
    placements: Sequence[Placement] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    trails: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    past: Past | None = None
    latest: Sequence[Entry] = ()
    record: str = ""  # what it did within a month, in words


def fact(label: str, *pieces: Piece) -> LineOf:
    """A label and what it is; a fact without a text is unknown."""
    said = [piece for piece in pieces if piece[0]] or [(UNKNOWN, Tone.UNKNOWN)]
    return [(fit(label, LABEL) + " ", Tone.MUTED), *said]


def head(view: NodeView) -> list[LineOf]:
    """Name, stage, and what is being done to it now."""
    node, scene = view.row.node, view.scene
    stage, admission = cells(view.row, scene, (Column.STAGE, Column.ADMISSION))
    besides = admission
    if admission.text == stage.text:  # what is wrong stands there in the stage's place
        besides = Cell(node.stage.value, Tone.MUTED)
    line: list[Piece] = [
        (printable(node.key.name, NAME), Tone.STRONG),
        plain("  "),
        (f"{stage.sign} ", stage.sign_tone),
        (stage.text, stage.tone),
        plain("  "),
        (besides.text, besides.tone),
        plain("  "),
        (" ".join(printable(part, NAME) for part in (node.category, node.key.source) if part), Tone.MUTED),
    ]
    lines: list[LineOf] = [line]
    if known := scene.last_known_of(node):
        says = f"{scene.glyphs.warn} {known}: {node.key.source} has not answered since this program began"
        lines.append([(says, Tone.WARN)])
    lines += _sides(view.row)
    if left := scene.interrupted.get(node.key):
        lines.append([(f"{scene.glyphs.warn} {left}", Tone.WARN)])
    if doing := scene.pending.get(node.key) or view.row.pending:
        lines.append([(f"{scene.glyphs.working} {doing}", Tone.NOTE)])
    return lines


def _sides(row: FleetRow) -> list[LineOf]:
    """Both truths of a machine of two sources, Slurm's first; those that claim to be one machine."""
    pair = row.pair
    if pair is None:
        return []
    if pair.twin is None:
        named = ", ".join(str(key) for key in pair.rivals)
        return [[("may be one machine with ", Tone.WARN), (named, Tone.WARN)]]
    sides = (row.node, pair.twin) if row.node.key.source == pair.slurm else (pair.twin, row.node)
    lines: list[LineOf] = []
    for side in sides:
        who, _, said = truth(side, pair.slurm).partition(": ")
        tone = Tone.MUTED if side.admission is Admission.OPEN else Tone.WARN
        ready = "" if side.readiness is Readiness.READY else f", {side.readiness.value}"
        lines.append([(f"{who}  ", Tone.MUTED), plain(side.key.name), (f"  {said}{ready}", tone)])
    return lines


def wrong(view: NodeView) -> list[LineOf]:
    """Each concern, worst first, with what would clear it."""
    scene, row = view.scene, view.row
    found = concerns(row, scene.now, scene.policy)
    if not found:
        return [[(f"{scene.glyphs.good} ", Tone.GOOD), ("nothing wrong is known", Tone.MUTED)]]
    lines: list[LineOf] = []
    for concern in found:
        tone = SEVERITY_TONES[concern.severity]
        lines.append([(f"{severity_glyph(concern.severity, scene.glyphs)} ", tone), (concern.text, tone)])
        clears = what_clears(concern, row.node, row.telemetry, scene.keys)
        if clears:
            said = clears if concern.about == FLAG else f"clears: {clears}"
            lines.append([(f"  {said}", Tone.MUTED)])
    return lines


def holds(view: NodeView) -> list[LineOf]:
    """Who keeps it closed, why, and since when."""
    node, twin = view.row.node, view.row.twin
    held = [(node, hold) for hold in node.holds]
    if twin is not None:
        held += [(twin, hold) for hold in twin.holds]
    if not held:
        if node.admission is Admission.OPEN:
            return [[("nobody", Tone.MUTED)]]
        said = by_gate(node, view.scene.now)
        return [[(f"closed {said}" if said else "closed, and nobody said who or why", Tone.WARN)]]
    lines: list[LineOf] = []
    for side, hold in held:
        tone = Tone.NOTE if hold.kind is HolderKind.OURS else Tone.WARN
        who = hold.by or "nobody said who"
        what = f" {view.scene.glyphs.bullet} ".join(
            part for part in (hold.verb, hold.step, hold.operation) if part
        )
        line: list[Piece] = [(who, tone), (f"  since {age(hold.since, view.scene.now)}", Tone.MUTED)]
        if what:
            line.append((f"  {what}", Tone.MUTED))
        if twin is not None:
            line.append((f"  in {side.key.source}", Tone.MUTED))
        lines.append(line)
        lines.append([plain("  "), plain(hold.reason) if hold.reason else ("no reason given", Tone.UNKNOWN)])
    return lines


def by_gate(node: Node, now: datetime) -> str:
    """Whose verdict closed a node that bears no hold: `by the gate: gpus, xid (oncall, 40m ago)`; empty where none did."""
    record = node.gate
    if record is None or record.verdict is not Verdict.FAIL:
        return ""
    failed = ", ".join(each.check for each in record.findings if each.verdict is Verdict.FAIL)
    when = f"{age(record.at, now)} ago" if record.at else ""
    told = ", ".join(part for part in (record.by, when) if part)
    return "by the gate" + (f": {failed}" if failed else "") + (f" ({told})" if told else "")


def lately(view: NodeView, width: int) -> list[LineOf]:
    """What it did within a month, and what happened last, each on two lines at most."""
    lines: list[LineOf] = [[(view.record, Tone.NOTE)]] if view.record else []
    told = latest_lines(view.latest, view.scene.now, view.scene.glyphs)
    return lines + [cut(line, max(width, 2 * width - 12)) for line in told]


def what_it_is(view: NodeView) -> list[LineOf]:
    """Image, versions, place, age."""
    node, scene = view.row.node, view.scene
    drifted = node.image.drifted
    image = image_change(node.image.running, node.image.desired, scene.glyphs.arrow)
    tone = Tone.WARN if drifted else Tone.UNKNOWN if node.image.running is None else Tone.PLAIN
    drift = "" if drifted is False else "  drift" if drifted else "  desired image unknown"
    if node.image.running is None:
        drift = ""
    lines = [
        fact("image", (image, tone), (drift, Tone.MUTED)),
        fact("GPUs", *_gpus(view.row)),
        fact("model", plain(node.software.gpu_product)),
        fact("driver", plain(_with(node.software.driver, "CUDA", node.software.cuda))),
        fact("system", plain(_with(node.software.os_image, "kernel", node.software.kernel))),
        fact("agent", plain(node.software.agent)),
        fact("place", plain(_place(node))),
        fact("age", plain("" if node.created is None else age(node.created, scene.now))),
    ]
    if node.owner:
        lines.append(fact("owned by", plain(node.owner)))
    if node.asleep:
        lines.insert(0, fact("power", plain("asleep, until work wants it")))
    elif node.readiness is not Readiness.READY:
        lines.insert(0, fact("agent says", (node.readiness.value, Tone.BAD)))
    return lines


def _with(first: str, word: str, second: str) -> str:
    return (
        f"{first}  {word} {second}" if first and second else first or (f"{word} {second}" if second else "")
    )


def _place(node: Node) -> str:
    place = node.topology
    named = (("zone", place.zone), ("rack", place.rack), ("switch", place.switch), ("clique", place.clique))
    return "  ".join(f"{word} {value}" for word, value in named if value)


def _gpus(row: FleetRow) -> list[Piece]:
    node, work = row.node, row.work
    if node.gpus_capacity is None:
        return []
    used = UNKNOWN if work is None else str(work.gpus_used)
    offered = UNKNOWN if node.gpus_allocatable is None else str(node.gpus_allocatable)
    short = node.gpus_allocatable != node.gpus_capacity
    pieces: list[Piece] = [
        plain(f"{used} used, "),
        (f"{offered} offered", Tone.WARN if short else Tone.PLAIN),
        plain(f", {node.gpus_capacity} in the machine"),
    ]
    if node.mig_allocatable:
        pieces.append(plain(f", {node.mig_allocatable} MIG"))
    return pieces


def gpus(view: NodeView, width: int) -> list[LineOf]:
    """One line a GPU."""
    if view.gpus is None:
        return [[(view.gpus_why or "not read yet", Tone.UNKNOWN)]]
    if not view.gpus:
        return [[("no GPU reports telemetry", Tone.UNKNOWN)]]
    scene = GpuScene(view.scene.policy, view.scene.glyphs, view.scene.now, view.trails)
    lines = gpu_lines(view.gpus, scene, width)
    expected = view.row.node.gpus_capacity
    seen = len({gpu.gpu for gpu in view.gpus})
    if expected is not None and seen < expected:
        lines.append([(f"{counted(expected - seen, 'GPU')} of {expected} silent", Tone.BAD)])
    return lines


def history(view: NodeView, width: int, height: int = 4) -> list[LineOf]:
    """The charts of its past."""
    if view.past is None:
        return []
    return chart_lines(view.past, view.scene.glyphs, view.scene.now, width, height)


def chart_rows(width: int) -> int:
    """How many charts stand one below the other in so many cells."""
    return len(Metric) // (2 if width >= TWO_COLUMNS else 1)


def gate(view: NodeView) -> list[LineOf]:
    """The last gate's verdict and its findings, the bad ones first, each that did not pass with what its check printed last."""
    record, scene = view.row.node.gate, view.scene
    vouched = _vouched(view.row.node, scene)
    if record is None:
        return [[("never gated, as far as the node shows", Tone.UNKNOWN)], *vouched]
    lines: list[LineOf] = [_verdict(record.verdict, scene.glyphs, record.at, record.by, scene.now), *vouched]
    order = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN, Verdict.PASS)
    for finding in sorted(view.findings or record.findings, key=lambda each: order.index(each.verdict)):
        lines.append(_finding(finding, scene, record.at))
        if finding.clears:
            lines.append([(f"    clears: {finding.clears}", Tone.MUTED)])
        if finding.verdict is not Verdict.PASS:
            lines += [[(f"    {scene.glyphs.bullet} {line}", Tone.MUTED)] for line in finding.tail]
    return lines


def _vouched(node: Node, scene: Scene) -> list[LineOf]:
    """What people vouched for: checks that may stay unknown for a time, and what was mended."""
    lines: list[LineOf] = []
    for word in node.accepted:
        over = word.until <= scene.now
        left = f"ended {age(word.until, scene.now)} ago" if over else f"until {word.until:%m-%d %H:%M} UTC"
        why = f": {word.reason}" if word.reason else ""
        line: list[Piece] = [
            (f"  {scene.glyphs.warn} {word.check} accepted {left}", Tone.MUTED if over else Tone.WARN)
        ]
        lines.append([*line, (f"  by {word.by or 'somebody unnamed'}{why}", Tone.MUTED)])
    if (repair := node.repair) is not None:
        lines.append(
            [
                plain(f"  repaired: {repair.says}"),
                (f"  {age(repair.at, scene.now)} ago by {repair.by}", Tone.MUTED),
            ]
        )
    return lines


VERDICT_TONES = {
    Verdict.PASS: Tone.GOOD,
    Verdict.WARN: Tone.WARN,
    Verdict.FAIL: Tone.BAD,
    Verdict.UNKNOWN: Tone.UNKNOWN,
}


def _verdict(verdict: Verdict, glyphs: Glyphs, at: datetime | None, by: str, now: datetime) -> LineOf:
    said: list[Piece] = [(f"{glyphs.verdict(verdict)} {verdict.value}", VERDICT_TONES[verdict])]
    said.append((f"  {age(at, now)} ago" if at else "  when is unknown", Tone.MUTED))
    if by:
        said.append((f"  by {by}", Tone.MUTED))
    return said


def _finding(finding: Finding, scene: Scene, judged: datetime | None) -> LineOf:
    tone = VERDICT_TONES[finding.verdict]
    said: list[Piece] = [(f"  {scene.glyphs.verdict(finding.verdict)} {finding.check}", tone)]
    if finding.value:
        said.append(plain(f"  {finding.value}"))
    if finding.threshold:
        said.append((f"  wants {finding.threshold}", Tone.MUTED))
    if finding.source:
        old = f", {age(finding.at, judged)} old" if finding.at is not None and judged is not None else ""
        said.append((f"  from {finding.source}{old}", Tone.MUTED))
    return said


def work(view: NodeView) -> list[LineOf]:
    """The workloads on it; pods where they were read."""
    if view.placements:
        return [_placement(each) for each in view.placements]
    doing = view.row.work
    if doing is None:
        return [[(UNKNOWN, Tone.UNKNOWN)]]
    if not doing.workloads:
        return [[("idle", Tone.MUTED)]]
    return [
        [
            plain(each.name),
            (f"  {each.kind}", Tone.MUTED),
            (f"  in {each.namespace}" if each.namespace else "", Tone.MUTED),
        ]
        for each in doing.workloads
    ]


def _placement(placement: Placement) -> LineOf:
    said: list[Piece] = [plain(placement.label)]
    if placement.gpus:
        said.append((f"  {counted(placement.gpus, 'GPU')}", Tone.NOTE))
    said.append((f"  {placement.workload.kind} {placement.workload.name}", Tone.MUTED))
    closed = (budget for budget in placement.budgets if budget.allowed < 1)
    return [*said, *((f"  held by budget {budget.name}", Tone.WARN) for budget in closed)]


def conditions(view: NodeView) -> list[LineOf]:
    """What the orchestrator reports, the bad ones first."""
    found = sorted(view.row.node.conditions, key=lambda each: not each.bad)
    lines: list[LineOf] = []
    for each in found:
        tone = Tone.BAD if each.bad else Tone.MUTED if each.bad is False else Tone.UNKNOWN
        sign = view.scene.glyphs.bad if each.bad else view.scene.glyphs.good if each.bad is False else UNKNOWN
        said: list[Piece] = [(f"{sign} {each.type} {each.status}", tone)]
        if reason := says_more(each):
            said.append((f"  {reason}", Tone.MUTED))
        if each.since is not None:
            said.append((f"  {age(each.since, view.scene.now)}", Tone.MUTED))
        lines.append(said)
        if each.bad and each.message:
            lines.extend(message_lines(each.message))
    return lines or [[("none reported", Tone.UNKNOWN)]]
