"""The cost of a plan, as it is read before saying yes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.plan import Plan, Radius, Verb
from tests.builders import plan
from widgets.glyphs import UNICODE
from widgets.plan_lines import cost


def said(of: Plan) -> list[str]:
    return ["".join(text for text, _ in line) for line in cost(of, UNICODE)]


def test_a_gang_is_named_with_where_the_rest_of_it_runs() -> None:
    gang = "ml/pretrain also runs on 3 other nodes, which may stall"
    assert f"{UNICODE.warn} {gang}" in said(plan(radius=Radius(nodes=1, pods=1, gpus=8, gangs=(gang,))))


def test_the_capacity_says_of_which_categories_it_is() -> None:
    radius = Radius(nodes=1, capacity_left=(208, 216), categories=("h100",))
    assert "GPUs usable in h100 after it: 208 of 216 usable now" in said(plan(Verb.CORDON, radius=radius))


@pytest.mark.parametrize("verb", [Verb.GATE, Verb.UNCORDON, Verb.PROVISION])
def test_a_verb_that_takes_no_capacity_has_none_to_be_unknown(verb: Verb) -> None:
    assert said(plan(verb)) == ["it takes no GPUs out of use"]


def test_a_capacity_that_nobody_can_tell_is_unknown() -> None:
    assert "GPUs usable after it: ?" in said(plan(Verb.CORDON))


def test_a_cordon_says_nothing_of_pods_that_do_not_move() -> None:
    assert "pod" not in " ".join(said(plan(Verb.CORDON)))


def test_waves_are_told_with_what_bounds_them_and_a_doubt_of_the_whole_plan_is_a_line() -> None:
    of = replace(
        plan(Verb.CORDON),
        waves=6,
        at_once=2,
        max_unavailable=6,
        braked_by="h100",
        already_out=4,
        warnings=("lab does not tell",),
    )
    lines = said(of)
    pace = "6 waves of 2: max-unavailable 6 of category h100, 4 already out"
    assert f"{pace}; stops starting nodes after 3 failures" in lines
    assert f"{UNICODE.warn} lab does not tell" in lines
