"""Every stage of the drill as a picture: the real screen and the real walk, on a fleet of paper whose clock stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from fleet.drill import Arrangement, Drill
from fleet.drill_ground import Leftover, PodSight
from fleet.drill_standing import Phase
from fleet.drill_walk import DrillWalk
from fleet.health import Finding, GateRecord, Verdict
from fleet.node import Admission, Image, NodeKey, Readiness, Stage, Taint
from fleet.workload import Budget, Keeper, Placement, WorkloadId
from tests.driver import Driver, at_the_desk
from tests.fakes import SOURCE
from tests.fakes import node as plain_node
from tui.commands import DRILL, UNCORDON
from tui.screens.drill import DrillScreen
from tui.settings import Settings

NODE = NodeKey(SOURCE, "drill-4f21c0")
NAMESPACE = "quarterdeck-drill-4f21c0"
FIRST, SECOND = (f"drill-work-6c9f-{end}" for end in ("x7kqp", "m2vtd"))
REFUSED = "0/29 nodes are available: 1 node(s) had untolerated taint {node.lab/health-gate: pending}, 28 node(s) didn't match."
SHORT = Finding("gpus", Verdict.FAIL, "7 GPUs", "8 GPUs", SOURCE)


@dataclass
class PaperGround:
    """Ground that is always there. `shown` is what its workload's pods look like now."""

    shown: list[PodSight] = field(default_factory=list)
    node: NodeKey = NODE
    namespace: str = NAMESPACE
    outside: str = "kubectl --context lab"

    async def leftovers(self) -> Sequence[Leftover]:
        return ()

    async def remove(self, left: Leftover) -> Sequence[str]:
        return ()

    async def prepare(self) -> None:
        return

    async def attend(self) -> None:
        return

    async def arrange(self, arrangement: Arrangement) -> bool:
        return True

    async def pods(self) -> Sequence[PodSight]:
        return tuple(self.shown)

    async def clean_up(self) -> Sequence[str]:
        return ()


class Stagehand:
    """Puts the fleet of paper into the state that each step of the lifecycle ends in."""

    def __init__(self, at: Driver, ground: PaperGround) -> None:
        self._at = at
        self._ground = ground

    @property
    def screen(self) -> DrillScreen:
        return next(each for each in self._at.app.screen_stack if isinstance(each, DrillScreen))

    @property
    def walk(self) -> DrillWalk:
        assert self.screen.walk is not None
        return self.screen.walk

    async def settle(self) -> None:
        """Let no timer decide what is painted: everything that was reported is on the screen, in its order."""
        await self._at.pilot.pause()
        self.screen.paint(resort=True)
        self.screen.show_table()
        self.screen.coach()
        await self._at.pilot.pause()

    def provisioned(self) -> None:
        made = plain_node(
            NODE.name,
            category="drill",
            image=Image("v1", "label", None),
            stage=Stage.PROVISIONING,
            admission=Admission.GATED,
            taints=(Taint("node.lab/health-gate", "pending"),),
            readiness=Readiness.NOT_READY,
            gpus_allocatable=None,
        )
        self._at.fleet.lab.add(made)
        self._ground.shown = [PodSight(FIRST, "uid-1", "Pending", scheduled=False, reason=REFUSED)]

    def failed(self) -> None:
        record = GateRecord(Verdict.FAIL, (SHORT,), self._at.fleet.clock.now())
        self._at.fleet.lab.change(
            NODE, stage=Stage.QUARANTINED, gate=record, gpus_allocatable=7, readiness=Readiness.READY
        )

    def passed(self) -> None:
        record = GateRecord(Verdict.PASS, (), self._at.fleet.clock.now())
        self._at.fleet.lab.change(
            NODE,
            stage=Stage.IN_SERVICE,
            admission=Admission.OPEN,
            gate=record,
            gpus_allocatable=8,
            taints=(),
        )

    def landed(self) -> None:
        self._place(FIRST, "uid-1", ())
        self._ground.shown = [PodSight(FIRST, "uid-1", "Running", NODE.name, scheduled=True)]

    def held(self) -> None:
        budget = Budget(NAMESPACE, "drill-budget", 0, healthy=1, needed=1, owner="the drill")
        self._place(FIRST, "uid-1", (budget,))
        self._at.fleet.lab.change(
            NODE, stage=Stage.DRAINING, admission=Admission.CORDONED, image=Image("v1", "label", "v2")
        )
        self.walk._waits = lambda: ("waits for budget drill-budget",)  # type: ignore[method-assign]  # no drain runs here

    def evicted(self) -> None:
        self._at.fleet.lab.facts[NODE] = replace(self._at.fleet.lab.facts[NODE], placements=())
        self._ground.shown = [PodSight(SECOND, "uid-2", "Pending", scheduled=False, reason=REFUSED)]

    def patched(self) -> None:
        self.passed()
        self._at.fleet.lab.change(NODE, image=Image("v2", "label", "v2"))
        self._place(SECOND, "uid-2", ())
        self._ground.shown = [PodSight(SECOND, "uid-2", "Running", NODE.name, scheduled=True)]

    def retired(self) -> None:
        del self._at.fleet.lab.facts[NODE]
        self._ground.shown = [PodSight(SECOND, "uid-3", "Pending", scheduled=False, reason=REFUSED)]

    def _place(self, name: str, uid: str, budgets: tuple[Budget, ...]) -> None:
        work = WorkloadId(NAMESPACE, "Deployment", "drill-work")
        placed = Placement(NAMESPACE, name, uid, work, Keeper.CONTROLLER, gpus=1, budgets=budgets)
        lab = self._at.fleet.lab
        lab.facts[NODE] = replace(lab.facts[NODE], placements=(placed,))

    async def play(self, steps: int, *, hold: bool) -> None:
        """Have so many checkpoints observed; with `hold` stand still at the last, else go on to the next step."""
        acts = (
            self.provisioned,
            self.failed,
            self.passed,
            self.landed,
            self.held,
            self.evicted,
            self.patched,
            self.retired,
        )
        for number, act in enumerate(acts[:steps]):
            act()
            self._at.fleet.lab.show(NODE)
            if self.walk.at.phase is Phase.ASKS:
                self.walk._by = "key"
                self.walk._wait()
            await self.walk.look()
            if self.walk.at.phase is Phase.HOLDS and (not hold or number + 1 < steps):
                self.walk.go_on()
            await self.settle()
        if self.walk.at.phase is Phase.ASKS:
            await self.walk.look()


Play = Callable[[Driver, Stagehand], Awaitable[object]]


async def begin(at: Driver, hand: Stagehand) -> None:
    await at.sees("1 of 5")


async def gate(at: Driver, hand: Stagehand) -> None:
    await hand.play(2, hold=False)
    await at.sees("(2/2)")


async def wrong_key(at: Driver, hand: Stagehand) -> None:
    await gate(at, hand)
    await hand.settle()
    await at.press(UNCORDON)
    await at.planned()
    await at.press("escape")
    await at.sees("u is Uncordon")


async def in_service(at: Driver, hand: Stagehand) -> None:
    await hand.play(4, hold=True)
    await at.sees("3 of 5", "runs on")


async def patch(at: Driver, hand: Stagehand) -> None:
    await hand.play(5, hold=False)
    await at.sees("(2/3)")


async def budget(at: Driver, hand: Stagehand) -> None:
    await hand.play(5, hold=True)
    await at.sees("(1/3)", "observed")


async def patched(at: Driver, hand: Stagehand) -> None:
    await hand.play(7, hold=True)
    await at.sees("4 of 5", "observed")


async def retire(at: Driver, hand: Stagehand) -> None:
    await hand.play(8, hold=True)
    await at.sees("5 of 5", "observed")


async def stuck(at: Driver, hand: Stagehand) -> None:
    hand.provisioned()
    at.fleet.lab.show(NODE)
    hand.walk._by = "key p"
    hand.walk._wait()
    hand.walk._stick(
        "not observed within 180 s: pod drill-work is Pending and no scheduler has said a word of it"
    )
    await at.sees("not reached")


async def explained(at: Driver, hand: Stagehand) -> None:
    await gate(at, hand)
    await at.press("e")
    await at.sees("Why it matters")


async def report(at: Driver, hand: Stagehand) -> None:
    await hand.play(8, hold=True)
    await at.press("n")
    await at.sees("every checkpoint was observed")


PLAYS: Mapping[str, Play] = {
    "begin": begin,
    "gate": gate,
    "wrong-key": wrong_key,
    "in-service": in_service,
    "budget": budget,
    "patch": patch,
    "patched": patched,
    "retire": retire,
    "stuck": stuck,
    "explained": explained,
    "report": report,
}


@asynccontextmanager
async def drill_scene(name: str, size: tuple[int, int], theme: str = "dark") -> AsyncIterator[Driver]:
    """The drill's screen where a play has led it."""
    async with at_the_desk(size, settings=Settings(theme=theme)) as at:
        ground = PaperGround()

        def give(source: str, drill: Drill) -> PaperGround:
            return ground

        at.deck.drill_ground = give
        at.deck.readers = {SOURCE: at.fleet.lab}
        await at.press(DRILL)
        await at.sees("Walk which drill?")
        await at.press("enter")
        await at.sees("your turn")
        hand = Stagehand(at, ground)
        await PLAYS[name](at, hand)
        await hand.settle()
        yield at
