"""The reader over answers of ours: absent nodes, answers that are none, how little is asked, and who may."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from backends.slurm.commands import SlurmCommands
from backends.slurm.errors import Completed
from backends.slurm.reader import FEW, SlurmReader
from fleet.errors import FleetError, Garbled, Unreachable
from fleet.node import NodeKey
from fleet.plan import Permission, Verb
from tests.clocks import ManualClock
from tests.unit.slurm.answers import CONFIG, TOPOLOGY
from tests.unit.slurm.lines import line


class Canned(SlurmCommands):
    """Commands whose answers are written down, by the word that tells them apart."""

    def __init__(self, clock: ManualClock, **answers: Completed) -> None:
        super().__init__(clock, {})
        self.asked: list[tuple[str, ...]] = []
        usual = {"config": said(CONFIG), "topology": said(TOPOLOGY), "squeue": said("")}
        self._answers = usual | {"reservation": said("No reservations in the system\n")} | answers

    async def ask(self, *argv: str, about: str = "", deadline: timedelta | None = None) -> Completed:
        self.asked.append(argv)
        return self._answers["squeue" if argv[0] == "squeue" else argv[2]]


def said(out: str, rc: int = 0, err: str = "") -> Completed:
    return Completed(("scontrol",), rc, out, err)


def reader(**answers: Completed) -> tuple[SlurmReader, Canned, ManualClock]:
    clock = ManualClock()
    canned = Canned(clock, **answers)
    return SlurmReader(canned, clock, source="lab", uid=1000), canned, clock


def keys(names: Sequence[str], source: str = "lab") -> list[NodeKey]:
    return [NodeKey(source, name) for name in names]


async def test_one_that_is_not_there_is_left_out_of_those_that_are() -> None:
    here, _, _ = reader(node=said(f"{line('gpu1', after='Comment=x')}\nNode nope not found\n", 1))
    found = await here.read(keys(["gpu1", "nope"]))
    assert [key.name for key in found] == ["gpu1"]
    assert (await here.seen(["gpu1", "nope"]))["gpu1"].comment == "x"


async def test_none_of_them_there_is_no_error() -> None:
    here, canned, _ = reader(node=said("Node nope not found\n", 1))
    assert await here.read(keys(["nope"])) == {}
    assert len(canned.asked) == 1


async def test_names_that_are_no_names_and_other_sources_are_not_asked_for() -> None:
    here, canned, _ = reader()
    assert await here.read([*keys(["--help", "ALL", "a,b", ""]), *keys(["gpu1"], "other")]) == {}
    assert canned.asked == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            said("", 1, "slurm_load_node error: Unable to contact slurm controller (connect failure)"),
            Unreachable,
        ),
        (said(""), Unreachable),
    ],
)
async def test_no_answer_is_never_an_absent_node(answer: Completed, kind: type[FleetError]) -> None:
    here, _, _ = reader(node=answer)
    with pytest.raises(kind, match="gpu1"):
        await here.read(keys(["gpu1"]))


async def test_of_many_nodes_the_whole_list_is_asked_for_once() -> None:
    names = [f"gpu{number}" for number in range(FEW + 1)]
    here, canned, _ = reader(nodes=said("".join(f"{line(name)}\n" for name in [*names, "other"])))
    found = await here.read(keys(names))
    assert [key.name for key in found] == names
    assert sum(argv[:3] == ("scontrol", "show", "nodes") for argv in canned.asked) == 1


async def test_the_configuration_is_asked_for_again_once_it_is_old() -> None:
    here, canned, clock = reader(node=said(f"{line('gpu1')}\n"))

    async def configurations() -> int:
        await here.read(keys(["gpu1"]), work=False)
        return sum("config" in argv for argv in canned.asked)

    assert [await configurations(), await configurations()] == [1, 1]
    await clock.advance(timedelta(seconds=61))
    assert await configurations() == 2
    assert not any(argv[0] == "squeue" for argv in canned.asked)


async def test_a_configuration_that_names_no_cluster_is_garbled() -> None:
    here, _, _ = reader(config=said("Configuration data as of now\n"))
    with pytest.raises(Garbled):
        await here.identity()


@pytest.mark.parametrize(
    ("uid", "accounting", "may"),
    [
        (0, "none", Permission.ALLOWED),
        (64030, "none", Permission.ALLOWED),
        (1000, "none", Permission.DENIED),
        (1000, "slurmdbd", Permission.UNKNOWN),
    ],
)
async def test_root_and_slurm_s_user_may_and_only_slurmdbd_gives_others_a_right(
    uid: int, accounting: str, may: Permission
) -> None:
    config = CONFIG.replace("accounting_storage/none", f"accounting_storage/{accounting}")
    clock = ManualClock()
    here = SlurmReader(Canned(clock, config=said(config)), clock, source="lab", uid=uid)
    allowed = await here.allowed([Verb.DRAIN, Verb.PROVISION])
    assert allowed == {Verb.DRAIN: may, Verb.PROVISION: Permission.DENIED}


DRAINED = "Reason=theirs [root@2026-03-01T02:00:00]"


@pytest.mark.parametrize(
    ("state", "coming", "resumes", "close", "open_"),
    [
        ("MIXED+DRAIN+REBOOT_REQUESTED", "RESUME", "", "at its end Slurm sets it to RESUME", "its state is"),
        ("MIXED+REBOOT_REQUESTED", "DOWN", "", "at its end Slurm sets it to DOWN", "its state is"),
        ("MIXED+REBOOT_REQUESTED", "", "", "its state is left alone", "its state is left alone"),
        ("IDLE+DRAIN+REBOOT_REQUESTED", "", "", "", "its state is left alone"),
        ("IDLE+DRAIN", "", "2026-03-01T04:00:00", "by itself at 2026-03-01T04:00", ""),
        ("IDLE", "", "2026-03-01T04:00:00", "", ""),
        ("IDLE+DRAIN", "", "None", "", ""),
        ("IDLE+DRAIN", "", "", "", ""),
    ],
)
async def test_what_slurm_would_undo_by_itself_is_read_for_the_plan(
    state: str, coming: str, resumes: str, close: str, open_: str
) -> None:
    """22.05 has no ResumeAfter; later ones print its time behind LastBusyTime."""
    text = line("gpu1", state, coming=coming, after=DRAINED)
    if resumes:
        text = text.replace("CfgTRES=", f"ResumeAfterTime={resumes} CfgTRES=")
    here, _, _ = reader(node=said(f"{text}\n"))
    (facts,) = (await here.read(keys(["gpu1"]))).values()
    for blocker, says in ((facts.no_close, close), (facts.no_open, open_)):
        assert (blocker is not None) == bool(says)
        assert blocker is None or (says in blocker.says and blocker.go_on)
