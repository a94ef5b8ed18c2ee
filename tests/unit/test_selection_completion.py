"""What is offered while a selection is typed always parses once it is taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.node import Image, Node, NodeKey
from fleet.policy import Policy
from fleet.row import row_of
from fleet.selection import parse
from fleet.selection_completion import Completion, KnownValues, completions

KNOWN = {"category": ("h100", "a100", "two words", "none"), "name": ("gpu-10", "gpu-2")}


def offered(text: str) -> list[str]:
    return [completion.text for completion in completions(text, len(text), KNOWN)]


def test_a_word_is_completed_to_fields() -> None:
    assert offered("name=a gpu_t") == ["gpu_temp>"]
    assert "category=" in offered("")
    assert offered("!cat") == ["category="]


def test_after_the_operator_come_the_values_the_fleet_has() -> None:
    assert offered("category=h") == ["h100"]
    assert offered("name=") == ["gpu-2", "gpu-10", "none"]
    assert offered("category=a100,h") == ["h100"]
    assert offered("category=t") == ['"two words"']
    assert offered('category="two') == ['"two words"']
    assert offered("stage=q") == ["quarantined"]
    assert offered("nothing=q") == []


def test_a_completion_replaces_what_was_typed_of_it() -> None:
    assert Completion("h100", 14, 15).applied("gpus>1 source=h xyz") == "gpus>1 source=h100 xyz"
    found = completions("category=a100,h ready=yes", 15, KNOWN)
    assert found[0].applied("category=a100,h ready=yes") == "category=a100,h100 ready=yes"


def test_the_values_of_a_fleet_come_in_the_order_people_count() -> None:
    rows = [
        row_of(Node(NodeKey("prod", name), category="h100", image=Image("v1")), None, None, Policy())
        for name in ("gpu-10", "gpu-2")
    ]
    known = KnownValues(most=1)
    known.take(rows[:1])
    known.take(rows[1:])
    assert known.told()["name"] == ("gpu-10",)  # as many as are offered are enough
    known = KnownValues()
    known.take(rows[:1])
    known.take(rows[1:])
    values = known.told()
    assert values["name"] == ("gpu-2", "gpu-10")
    assert values["image"] == ("v1",)
    assert values["rack"] == ()


@given(
    st.text(max_size=20) | st.sampled_from(["name=", "!category=x,", 'rack="a b", r', "concern>"]),
    st.integers(-3, 25),
)
def test_completing_never_fails(text: str, cursor: int) -> None:
    for completion in completions(text, cursor, KNOWN):
        assert 0 <= completion.start <= completion.end <= len(text)


@given(st.text(min_size=1))
def test_every_value_that_is_offered_finds_its_node(value: str) -> None:
    row = row_of(Node(NodeKey("prod", "gpu-1"), category=value), None, None, Policy())
    found = completions("category=", 9, {"category": (value,)})
    taken = next(completion for completion in found if completion.text != "none" or value == "none")
    assert parse(taken.applied("category=")).matches(row)
