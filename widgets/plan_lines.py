"""A plan as lines to read before saying yes: what stands in the way first, then the cost, then the steps. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.brakes import TAKES_CAPACITY
from fleet.plan import Blocker, BlockerKind, NodePlan, Plan, Verb
from fleet.policy import FAILURES_THAT_STOP
from widgets.fitting import fit_middle, width_of
from widgets.glyphs import Glyphs
from widgets.lines import LineOf, Piece, plain
from widgets.tones import Tone
from widgets.wording import UNKNOWN, counted

MANY = 12
"""Of longer lists so many are shown, and how many more there are."""

_STOPS = {
    Verb.DRAIN: "evicted pods do not come back to this node by themselves",
    Verb.REIMAGE: "the node is emptied, made anew, and stays closed until its gate passes",
    Verb.RETIRE: "the node is emptied and removed from its orchestrator for good",
}


def phrase(plan: Plan) -> str:
    """What the person at the keyboard types to say yes: the node's name, or how many nodes."""
    return plan.nodes[0].node.name if len(plan.nodes) == 1 else str(len(plan.nodes))


def title(plan: Plan) -> LineOf:
    """Verb, nodes, and whether it may run."""
    nodes = plan.nodes[0].node.name if len(plan.nodes) == 1 else counted(len(plan.nodes), "node")
    line: list[Piece] = [(f"{plan.verb.value} ", Tone.STRONG), (nodes, Tone.STRONG)]
    if plan.request.options.image:
        line.append((f" to {plan.request.options.image}", Tone.STRONG))
    blocked = len(plan.all_blockers)
    line.append((f"  {counted(blocked, 'blocker')}", Tone.BAD) if blocked else ("  free to run", Tone.GOOD))
    line.append((f"  plan {plan.hash}", Tone.MUTED))
    return line


def blockers(plan: Plan, glyphs: Glyphs) -> list[LineOf]:
    """Why it can't run, and how to go on. The same reason on many nodes is said once."""
    said: dict[tuple[str, str, BlockerKind], list[Blocker]] = {}
    for blocker in plan.all_blockers:
        said.setdefault((blocker.says, blocker.go_on, blocker.kind), []).append(blocker)
    lines: list[LineOf] = []
    for (says, go_on, kind), same in said.items():
        names = [blocker.node.name for blocker in same if blocker.node is not None]
        who = "" if not names or len(plan.nodes) == 1 else f"{_some(names)}: "
        lines.append([(f"{glyphs.bad} ", Tone.BAD), (who, Tone.STRONG), (says, Tone.BAD)])
        if go_on:
            tone = Tone.NOTE if kind is BlockerKind.OPTION else Tone.MUTED
            lines.append([(f"  {glyphs.arrow} {way_on(go_on, kind)}", tone)])
    return lines


def way_on(go_on: str, kind: BlockerKind) -> str:
    """How to go on, for people at a form: the option's own words are for the command line."""
    if kind is not BlockerKind.OPTION:
        return go_on
    if "--take-over" in go_on:
        return "ask them, or tick take over below: tab, then space"
    return f"{go_on} (below: tab, then space)"


def cost(plan: Plan, glyphs: Glyphs) -> list[LineOf]:
    """The blast radius: work, GPUs, jobs lost, budgets waited for, capacity left."""
    radius = plan.radius
    lines: list[LineOf] = []
    if plan.verb in _STOPS and not (plan.verb is Verb.DRAIN and radius.jobs == radius.pods):
        lines.append([(_STOPS[plan.verb], Tone.WARN)])
    moves: LineOf = [
        plain(f"{radius.moving}, "),
        plain(counted(radius.gpus, "GPU")),
        (
            (f"  {_some([each.name for each in radius.workloads], 4)}" if radius.workloads else ""),
            Tone.MUTED,
        ),
    ]
    if radius.pods:
        lines.append(moves)
    elif plan.verb in _STOPS:
        lines.append([plain("nothing is moved away")])
    if radius.jobs_lost:
        lines.append(
            [
                (f"{glyphs.bad} {counted(len(radius.jobs_lost), 'job')} lost for good: ", Tone.BAD),
                plain(_some(radius.jobs_lost, 4)),
            ]
        )
    lines.extend([(f"{glyphs.warn} ", Tone.WARN), plain(each)] for each in radius.gangs[:MANY])
    lines.extend([(f"{glyphs.warn} waits for ", Tone.WARN), plain(each)] for each in radius.waits_for[:MANY])
    if plan.verb not in TAKES_CAPACITY:
        lines.append([("it takes no GPUs out of use", Tone.MUTED)])
    elif radius.capacity_left is None:
        lines.append([("GPUs usable after it: ", Tone.MUTED), (UNKNOWN, Tone.UNKNOWN)])
    else:
        after, now = radius.capacity_left
        where = f" in {_some([each for each in radius.categories if each])}" if any(radius.categories) else ""
        lines.append(
            [(f"GPUs usable{where} after it: ", Tone.MUTED), plain(f"{after:,} of {now:,} usable now")]
        )
    if plan.pace:
        lines.append([plain(f"{plan.pace}; stops starting nodes after {FAILURES_THAT_STOP} failures")])
    lines.extend([(f"{glyphs.warn} ", Tone.WARN), plain(each)] for each in plan.warnings)
    return lines


def nodes(plan: Plan, glyphs: Glyphs, width: int) -> list[LineOf]:
    """Each node as found, with what is so already and what is odd about it."""
    shown = plan.nodes[:MANY]
    if len(shown) == 1:
        return _node(shown[0], 0, glyphs)
    room = max((width_of(each.node.name) for each in shown), default=0)
    room = min(room, max(12, width // 3))
    lines: list[LineOf] = []
    for each in shown:
        lines.extend(_node(each, room, glyphs))
    if len(plan.nodes) > MANY:
        lines.append([(f"and {counted(len(plan.nodes) - MANY, 'more node', 'more nodes')}", Tone.MUTED)])
    return lines


def _node(each: NodePlan, room: int, glyphs: Glyphs) -> list[LineOf]:
    sign = (glyphs.bad, Tone.BAD) if each.blockers else (glyphs.note, Tone.MUTED)
    found = each.found or UNKNOWN
    lines: list[LineOf] = (
        [[sign, plain(f" {fit_middle(each.node.name, room)}"), (f"  {found}", Tone.MUTED)]]
        if room
        else [[(f"found {found}", Tone.MUTED)]]
    )
    lines.extend([(f"  already so: {so}", Tone.MUTED)] for so in each.already)
    lines.extend([(f"  {glyphs.warn} {warning}", Tone.WARN)] for warning in each.warnings)
    return lines


def steps(plan: Plan) -> list[LineOf]:
    """The steps, numbered: of the one node, or of the first, which the others go through alike."""
    chosen = next((each for each in plan.nodes if each.steps), None)
    if chosen is None:
        return [[("nothing to do", Tone.MUTED)]]
    lines: list[LineOf] = [
        [(f"{number:>2}. ", Tone.MUTED), plain(step.says)] for number, step in enumerate(chosen.steps, 1)
    ]
    others = sum(bool(each.steps) for each in plan.nodes) - 1
    if others:
        alike = all(
            [step.says.replace(each.node.name, "") for step in each.steps]
            == [step.says.replace(chosen.node.name, "") for step in chosen.steps]
            for each in plan.nodes
            if each.steps
        )
        word = "the same on" if alike else "as found on each of"
        lines.append([(f"    {word} {counted(others, 'other node')}", Tone.MUTED)])
    return lines


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
