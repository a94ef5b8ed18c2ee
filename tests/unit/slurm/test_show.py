"""scontrol's lines, with everything that people and versions have been seen to put into them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.slurm.our_note import Entry, Note, read_note, split
from backends.slurm.show import NodeLines, read_nodes, read_time
from tests.unit.slurm.lines import line, shown

SIGNED = "[root@2026-03-01T02:30:00]"
AT = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)

MANY_LINES = """NodeName=oxygen-04 Arch=x86_64 CoresPerSocket=12
   CPUAlloc=0 CPUErr=0 CPUTot=48 CPULoad=0.00
   AvailableFeatures=oxygen
   ActiveFeatures=oxygen
   Gres=gpu:k80:2
   GresDrain=N/A
   GresUsed=gpu:0
   NodeAddr=oxygen-04 NodeHostName=oxygen-04 Version=17.11
   OS=Linux 4.14.61-aufs-1 #1 SMP Tue Aug 7 18:13:22 IDT 2018\x20
   RealMemory=257855 AllocMem=0 FreeMem=257040 Sockets=2 Boards=1
   State=IDLE*+DRAIN ThreadsPerCore=2 TmpDisk=47932 Weight=5 Owner=N/A MCS_label=N/A
   Partitions=short,long\x20
   BootTime=2019-01-29T10:46:30 SlurmdStartTime=2019-01-29T10:47:34
   CfgTRES=cpu=48,mem=257855M,billing=48
   AllocTRES=
   CapWatts=n/a
   \x20
   Reason=memory (0 < 1) = State=DOWN? [root@2019-01-29T10:42:12]
   Comment=(null)

NodeName=wn2 CoresPerSocket=1
CPUAlloc=0 CPUTot=1 CPULoad=N/A
AvailableFeatures=(null)
ActiveFeatures=(null)
Gres=(null)
NodeAddr=wn2 NodeHostName=wn2
RealMemory=1 AllocMem=0 FreeMem=N/A Sockets=1 Boards=1
State=UNKNOWN ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
Partitions=debug
BootTime=None SlurmdStartTime=None
"""


def test_a_line_is_read_field_by_field() -> None:
    node = shown(after=f"Reason=dust {SIGNED} Comment=rack 4 Extra=x y")
    assert (node.name, node.state, node.active_features, node.gres) == (
        "gpu1",
        "IDLE",
        "h100,image-v1",
        "gpu:h100:8",
    )
    assert node.os == "Linux 6.1.0-13-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1"
    assert (node.version, node.partitions) == ("22.05.8", "train,debug")
    assert node.booted == datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert (node.reason, node.reason_by, node.reason_at) == ("dust", "root", AT)
    assert (node.comment, node.extra) == ("rack 4", "x y")


def test_the_many_line_form_reads_as_well_with_any_indent_and_with_carriage_returns() -> None:
    for text in (MANY_LINES, MANY_LINES.replace("\n", "\r\n")):
        first, second = read_nodes(text)
        assert (first.state, first.reason) == ("IDLE*+DRAIN", "memory (0 < 1) = State=DOWN?")
        assert first.os == "Linux 4.14.61-aufs-1 #1 SMP Tue Aug 7 18:13:22 IDT 2018"
        assert (first.comment, first.partitions) == ("", "short,long")
        assert (second.name, second.registered, second.booted, second.state) == (
            "wn2",
            False,
            None,
            "UNKNOWN",
        )


def test_next_state_is_not_the_state() -> None:
    node = shown(state="DOWN+DRAIN+REBOOT_ISSUED", coming="RESUME")
    assert (node.state, node.next_state) == ("DOWN+DRAIN+REBOOT_ISSUED", "RESUME")


def test_a_node_that_never_registered_lacks_fields_and_takes_none_from_its_reason() -> None:
    after = f"Reason=x Arch=evil Version=99 OS=evil RealMemory=1 State=IDLE {SIGNED}"
    (node,) = read_nodes(line(state="DOWN", registered=False, after=after))
    assert (node.registered, node.version, node.os, node.state, node.booted) == (False, "", "", "DOWN", None)


@pytest.mark.parametrize(
    ("reason", "means"),
    [
        ("plain", "plain"),
        ("[user_problem] broken (0 < 1) #1", "[user_problem] broken (0 < 1) #1"),
        (
            "x State=IDLE NextState=DOWN Comment=a Extra={} y",
            "x State=IDLE NextState=DOWN Comment=a Extra={} y",
        ),
        ("x [a@2020-01-01T00:00:00] Comment=z", "x [a@2020-01-01T00:00:00] Comment=z"),
        (
            'x [a@2020-01-01T00:00:00] Extra={"quarterdeck":{}}',
            'x [a@2020-01-01T00:00:00] Extra={"quarterdeck":{}}',
        ),
        ("NodeName=gpu9 CoresPerSocket=1 State=IDLE", "NodeName=gpu9 CoresPerSocket=1 State=IDLE"),
        ("维护中 \N{BROKEN HEART}", "维护中 \N{BROKEN HEART}"),
        ("y" * 40_000, "y" * 40_000),
    ],
)
@pytest.mark.parametrize("following", ["", " Comment=c", " Extra=e", " Comment=c Extra=e"])
def test_a_reason_ends_at_its_last_signature(reason: str, means: str, following: str) -> None:
    node = shown(state="IDLE+DRAIN", after=f"Reason={reason} {SIGNED}{following}")
    assert (node.reason, node.reason_by, node.reason_at) == (means, "root", AT)
    assert (node.comment, node.extra) == ("c" * ("Comment=c" in following), "e" * ("Extra=e" in following))
    assert node.state == "IDLE+DRAIN"


def test_further_lines_of_a_reason_stand_behind_its_signature() -> None:
    node = shown(after=f"Reason=first {SIGNED}        second Comment=c")
    assert (node.reason, node.reason_by, node.comment) == ("first second", "root", "c")


def test_a_reason_from_slurm_conf_has_no_signature() -> None:
    node = shown(after="Reason=burnt out Comment=c")
    assert (node.reason, node.reason_by, node.reason_at, node.comment) == ("burnt out", "", None, "c")


def test_newlines_in_comment_and_extra_are_put_back() -> None:
    text = line("gpu1", after="Comment=a\n\nb State=DOWN Extra=c\nd") + "\n" + line("gpu2") + "\n"
    first, second = read_nodes(text)
    assert (first.comment, first.extra, first.state) == ("a\n\nb State=DOWN", "c\nd", "IDLE")
    assert (second.name, second.comment) == ("gpu2", "")


def test_a_line_in_a_comment_that_begins_like_a_node_makes_no_node() -> None:
    first, second = read_nodes(line("gpu1", after="Comment=see\nNodeName=gpu9") + "\n" + line("gpu2"))
    assert (first.comment, second.name) == ("see\nNodeName=gpu9", "gpu2")


def test_our_note_is_found_whole_whatever_stands_in_it() -> None:
    note = Note(
        holds=(Entry(by="oncall", operation="op-1", reason="Extra= Comment=x [root@2020-01-01T00:00:00]"),)
    )
    for others in ("", '{"load": 0.99}', "a plain text"):
        text = split(others).text(note)
        in_extra = shown(after=f"Reason=quarterdeck: x {SIGNED} Comment=c Extra={text}")
        assert (in_extra.comment, in_extra.extra) == ("c", text)
        assert read_note(in_extra.extra) == note
        in_comment = shown(after=f"Comment={text} Extra=e")
        assert (in_comment.comment, in_comment.extra) == (text, "e")


def test_what_newer_versions_print_behind_extra_is_none_of_it() -> None:
    node = shown(after="Comment=c Extra=e f InstanceId=i-12 InstanceType=p5.48xlarge")
    assert (node.comment, node.extra) == ("c", "e f")


def test_an_extra_that_is_nested_a_thousand_times_is_read_as_text() -> None:
    deep = "{" * 100_000
    assert shown(after=f"Comment=c Extra={deep}").extra == deep


def test_of_the_next_list_only_lines_that_are_not_as_they_were_are_read() -> None:
    lines = NodeLines()
    first = lines.read(f"{line('gpu1')}\n{line('gpu2')}\n")
    text = f"{line('gpu2', 'IDLE+DRAIN')}\n{line('gpu1')}\n{line('gpu3')}\n"
    second = lines.read(text)
    assert second == read_nodes(text)
    assert second[1] is first[0]
    assert [shown.name for shown in lines.read(line("gpu2"))] == ["gpu2"]


def test_what_is_no_list_of_nodes_holds_none() -> None:
    for text in (
        "",
        "\n",
        "No nodes in the system\n",
        "Node nope not found\n",
        "NodeName=x",
        "slurm: error\n",
    ):
        assert read_nodes(text) == []


@given(st.text(alphabet=st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])))
def test_no_reason_changes_what_the_rest_of_the_line_says(reason: str) -> None:
    node = shown(state="IDLE+DRAIN", after=f"Reason={reason} {SIGNED} Comment=c Extra=e")
    assert (node.state, node.comment, node.extra, node.reason_by) == ("IDLE+DRAIN", "c", "e", "root")
    assert node.reason == reason.strip()


@given(st.text())
def test_nothing_at_all_breaks_the_reading(text: str) -> None:
    assert len(read_nodes(f"{line(after='Comment=')}{text}")) >= 1


@pytest.mark.parametrize("text", ["None", "Unknown", "", "(null)", "2026-13-01T00:00:00", "n/a"])
def test_a_time_that_is_none_is_none(text: str) -> None:
    assert read_time(text) is None
