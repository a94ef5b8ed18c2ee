"""What the coach says at a place of a walk, as the texts that its widget paints. Pure: no screen, no look at the cluster."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.drill import Shows
from fleet.drill_standing import Phase
from fleet.drill_walk import DrillWalk
from fleet.node import NodeKey
from fleet.plan import Verb
from tui.command import Command
from tui.commands import BY_VERB
from widgets.coach import CoachFacts, Observed
from widgets.tones import Tone
from widgets.wording import counted

_STATES: Mapping[Phase, tuple[str, Tone]] = {
    Phase.OPENS: ("begins", Tone.NOTE),
    Phase.ASKS: ("your turn", Tone.NOTE),
    Phase.WAITS: ("observing", Tone.NOTE),
    Phase.HOLDS: ("observed", Tone.GOOD),
    Phase.STUCK: ("not reached", Tone.BAD),
    Phase.LEAVES: ("leaving", Tone.WARN),
    Phase.OVER: ("over", Tone.MUTED),
}


def coach_facts(walk: DrillWalk, keys: Mapping[str, str], answer: str = "") -> CoachFacts:
    """The coach's texts. `keys` spells each command's key by its id; `answer` says what a key just pressed means."""
    drill, at, fill, texts = walk.drill, walk.at, walk.fill, walk.step.texts
    number = drill.stages.index(walk.stage) + 1
    steps = walk.stage.steps
    which = f" ({steps.index(walk.step) + 1}/{len(steps)})" if len(steps) > 1 else ""
    state, tone = _STATES[at.phase]
    return CoachFacts(
        title=f"Drill: {drill.title}",
        stage=f"{number} of {len(drill.stages)} {walk.stage.title}{which}",
        step=walk.step.title,
        state=state,
        tone=tone,
        act=_act(walk, keys),
        hints=f"{_next(walk, keys['drill.next'])}{keys['drill.explain']} explain  {keys['fleet.quit']} leave",
        does=fill(texts.does),
        why=fill(texts.why),
        cost=fill(texts.cost) if at.phase is Phase.ASKS else "",
        expect=fill(texts.expect) if at.phase in (Phase.ASKS, Phase.WAITS) else "",
        mechanism=fill(texts.mechanism),
        idea=fill(texts.idea),
        outside=fill(texts.outside),
        answer=answer,
        trouble=at.trouble,
        before=_before(walk),
        checkpoint=_checkpoint(walk),
    )


def answer_to(
    walk: DrillWalk, command: Command, keys: Mapping[str, str], targets: tuple[NodeKey, ...]
) -> str:
    """What a verb's key means here, where it is not the one that the drill waits for, or not for its node; else empty."""
    wanted, key = walk.next_verb, keys[command.id]
    if walk.at.phase is Phase.WAITS:
        waits = "asks for no key now: it watches"
    elif wanted is not None:
        waits = f"waits for {keys[BY_VERB[wanted].id]}: {BY_VERB[wanted].label}"
    else:
        waits = f"waits for {keys['drill.next']}: {'report' if walk.finished else 'go on'}"
    if command.verb is not wanted or walk.at.phase is Phase.WAITS:
        return f"{key} is {command.label}; the drill {waits}. Do it all the same, or leave it with esc. {command.does}"
    if wanted is Verb.PROVISION or targets == (walk.node,):
        return ""
    whom = targets[0].name if len(targets) == 1 else counted(len(targets), "node")
    return (
        f"{key} is right, but this is for {whom}. Leave it with esc, and put the cursor on {walk.node.name}."
    )


def _act(walk: DrillWalk, keys: Mapping[str, str]) -> str:
    at, verb = walk.at, walk.step.verb
    match at.phase:
        case Phase.OPENS:
            return "The drill makes its ground."
        case Phase.HOLDS:
            return f"{keys['drill.next']}: " + (
                "remove what the drill made, and report" if walk.finished else "go on"
            )
        case Phase.STUCK:
            return f"{keys['drill.next']}: try again   {keys['fleet.quit']}: leave, and clean up"
        case Phase.LEAVES | Phase.OVER:
            return at.doing or "The drill is over."
        case Phase.WAITS:
            return "Nothing to press: it is on its way."
        case Phase.ASKS:
            if at.doing or verb is None:
                return at.doing
            command = BY_VERB[verb]
            where = f", and name it {walk.node.name}" if verb is Verb.PROVISION else f" on {walk.node.name}"
            return f"Press {keys[command.id]}: {command.label}{where}"


def _next(walk: DrillWalk, key: str) -> str:
    """What the key for the next step does now; nothing while there is nothing to do."""
    match walk.at.phase:
        case Phase.HOLDS:
            return f"{key} report  " if walk.finished else f"{key} go on  "
        case Phase.STUCK:
            return f"{key} try again  "
        case Phase.ASKS:
            return f"{key} do it for me  "
        case _:
            return ""


def _before(walk: DrillWalk) -> str:
    """The checkpoint observed before this one, in one line."""
    mine = (walk.stage.title, walk.step.title)
    seen = [each for each in walk.checkpoints if each.observed and (each.stage, each.step) != mine]
    return f"{seen[-1].step}: {seen[-1].evidence[-1]}" if seen and seen[-1].evidence else ""


def _checkpoint(walk: DrillWalk) -> tuple[Observed, ...]:
    if walk.at.seen and walk.at.phase is not Phase.ASKS:
        return tuple(
            Observed(
                str(each.expectation) if each.expectation.shows is not Shows.NODE else "node",
                each.says,
                each.met,
            )
            for each in walk.at.seen
        )
    return tuple(Observed("will show", str(expectation), met=False) for expectation in walk.step.expects)
