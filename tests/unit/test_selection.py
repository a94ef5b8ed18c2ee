"""The selection language: what it means, what it says of what it can't read, and that it never does anything else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.health import GateRecord, Verdict
from fleet.holder import Hold
from fleet.node import Admission, Condition, Image, Node, NodeKey, Readiness, Stage, Topology
from fleet.policy import Policy
from fleet.row import FleetRow, row_of
from fleet.selection import EVERYTHING, Selection, SelectionError, parse
from fleet.selection_fields import FIELDS
from fleet.telemetry import NodeTelemetry
from fleet.workload import NodeWork, WorkloadId
from tests.unit.fleet_strategies import nodes, telemetry, work

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)

HELD = row_of(
    Node(
        NodeKey("prod", "gpu-h100-07"),
        category="h100",
        image=Image("registry.lab/gpu:v1", desired="registry.lab/gpu:v2"),
        stage=Stage.QUARANTINED,
        admission=Admission.CORDONED,
        readiness=Readiness.READY,
        holds=(Hold("oncall@desk", "board swap, ticket 12"),),
        gate=GateRecord(Verdict.FAIL),
        conditions=(Condition("DiskPressure", "True", bad=True),),
        gpus_capacity=8,
        gpus_allocatable=7,
        topology=Topology(rack="r7"),
    ),
    NodeWork(gpus_used=6, workloads=(WorkloadId("team", "Job", "llm-1"),)),
    NodeTelemetry(NOW, gpu_util=3.5, gpu_temp_max=91.0, fb_used_ratio=0.85, power_watts=4200.0, xid=79),
    Policy(),
)
BARE = row_of(Node(NodeKey("slurm", "login")), None, None, Policy())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "category=h100",
        "category=H100",
        "category=a100,h100",
        "image=v1",
        "image!=v2",
        "image=gpu:v1",
        "image=registry.lab/gpu:v1",
        "desired_image=v2",
        "stage=quarantined",
        "stage=quar*",
        "quarantined",
        "Quar",
        "cordoned",
        "!drained",
        "!antined",
        "!ready",
        "admission=cordoned ready=yes drift=yes health=fail",
        "health=FAIL",
        "gpu_temp>85 gpu_temp<=91",
        "gpu_util<5",
        "fb_used>80% fb_used>=0.85",
        "power>4000",
        "power_watts=4200",
        "xid=79 xid!=0 xid=48,79",
        "gpus=8 gpus_allocatable<8 gpus_used=6",
        "workload=llm-*",
        "workload=team/Job/llm-1 workloads=1",
        'reason="board swap, ticket 12"',
        "reason=board*",
        "holder=oncall@*",
        "name=gpu-h1*",
        "source=prod rack=r7 zone=none",
        "condition=DiskPressure",
        "concern=fault concern>=suspect",
        "!category=a100",
        "!gpu_temp<85",
        "h100-07",
        "SWAP",
        '"ticket 12"',
        "llm",
        "!login",
    ],
)
def test_it_finds_the_node(text: str) -> None:
    assert parse(text).matches(HELD)


@pytest.mark.parametrize(
    "text",
    [
        "category=a100",
        "category!=h100",
        "!category=h100",
        "image!=v1",
        "stage=in-service",
        "gpu_temp>91",
        "gpu_temp=unknown",
        "xid!=79",
        "!xid=79",
        "health=none",
        "holder=none",
        "concern<closed",
        "ready!=yes",
        '"name=gpu"',
        'name="gpu-h1*"',
        "category=h100 login",
    ],
)
def test_it_leaves_the_node_out(text: str) -> None:
    assert not parse(text).matches(HELD)


@pytest.mark.parametrize("sign", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("negation", ["", "!"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_an_unknown_number_matches_no_comparison(sign: str, negation: str, value: float | None) -> None:
    row = row_of(Node(NodeKey("prod", "gpu-1")), None, NodeTelemetry(NOW, gpu_temp_max=value), Policy())
    assert not parse(f"{negation}gpu_temp{sign}0").matches(row)
    assert not parse(f"{negation}gpu_temp{sign}0").matches(BARE)
    assert parse("gpu_temp=unknown").matches(row)
    assert not parse("gpu_temp!=unknown").matches(row)
    assert not parse("!gpu_temp=unknown").matches(row)


def test_absent_texts_are_found_by_none() -> None:
    assert parse('holder=none image=unknown category=none reason="" workload=none').matches(BARE)
    assert parse("!holder=oncall@desk image!=v2").matches(BARE)


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("categori=h100", 0, "did you mean category?"),
        ("name=a catgory=h100", 7, "did you mean category?"),
        ("stage=quarentined", 6, "did you mean quarantined?"),
        ("ready=maybe", 6, "yes, no, unknown"),
        ("gpu_temp>hot", 9, "is a number"),
        ("gpu_temp>unknown", 9, "gpu_temp=unknown"),
        ("fb_used>80", 8, "percentage"),
        ("gpu_temp>1,2", 10, "one value"),
        ("category>h100", 8, "use = or !="),
        ("category==h100", 9, "no such operator"),
        ("category=", 9, "a value is missing"),
        ("category=a,", 11, "a value is missing"),
        ('name="gpu', 5, "never closed"),
        ('"a"b', 3, "space is missing"),
        ('a"b"', 1, "space is missing"),
        ("=h100", 0, "a field is missing"),
        ("!", 1, "missing after !"),
        ("!!name=a", 1, "one ! is enough"),
        ("gpu_temp>nan", 9, "is a number"),
        ("gpu_temp>٣", 9, "is a number"),
    ],
)
def test_what_cannot_be_read_is_named_and_placed(text: str, position: int, says: str) -> None:
    with pytest.raises(SelectionError) as raised:
        parse(text)
    assert (raised.value.position, raised.value.text) == (position, text)
    assert says in raised.value.message


def test_the_caret_stands_under_the_place() -> None:
    with pytest.raises(SelectionError) as raised:
        parse("name=a catgory=h100")
    assert raised.value.caret() == "name=a catgory=h100\n       ^"


def test_the_caret_of_a_hostile_text_is_two_printable_lines() -> None:
    with pytest.raises(SelectionError) as raised:
        parse("節\x1b[31m\n" * 9000 + "catgory=h100")
    shown, mark = raised.value.caret().split("\n")
    assert shown.isprintable()
    assert len(shown) < 130
    assert mark.endswith("^")


def test_the_caret_counts_wide_letters_twice() -> None:
    with pytest.raises(SelectionError) as raised:
        parse("節 stage=x")
    assert raised.value.caret().split("\n")[1].index("^") == len("節 stage=") + 1


def test_a_selection_names_the_fields_it_looks_at() -> None:
    assert parse("category=h100 gpu_temp_max>80 text").fields == {"category", "gpu_temp", ""}
    assert not EVERYTHING
    assert parse("   ") == EVERYTHING


pieces = st.sampled_from(
    [*FIELDS, *"!=<>,\"\\*?[] '%", "!=", ">=", "h100", "80%", "0.5", "unknown", "none", "\n", "\x1b[1m", "節"]
)
texts = st.text(max_size=30) | st.lists(pieces, max_size=9).map("".join)


@given(texts)
@example('"' * 3)
@example("!=")
def test_any_text_parses_or_is_placed_inside_it(text: str) -> None:
    found = attempt(text)
    if isinstance(found, Selection):
        assert parse(str(found)) == found
    else:
        assert 0 <= found.position <= len(text)
        assert found.caret().count("\n") == 1


def attempt(text: str) -> Selection | SelectionError:
    try:
        return parse(text)
    except SelectionError as error:
        return error


def rows() -> st.SearchStrategy[FleetRow]:
    return st.builds(row_of, nodes(), work, telemetry, st.just(Policy()))


@given(texts, rows())
def test_what_parses_answers_yes_or_no_for_any_node(text: str, row: FleetRow) -> None:
    found = attempt(text)
    selection = found if isinstance(found, Selection) else EVERYTHING
    assert selection.matches(row) in (True, False)


def test_a_glob_of_many_stars_is_quick() -> None:
    row = row_of(Node(NodeKey("prod", "a" * 5000)), None, None, Policy())
    assert not parse("name=" + "*a" * 40 + "*b").matches(row)
