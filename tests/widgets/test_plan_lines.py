"""The cost of a plan, as it is read before saying yes."""

from __future__ import annotations

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


def test_a_cordon_says_nothing_of_pods_that_do_not_move() -> None:
    assert "pod" not in " ".join(said(plan(Verb.CORDON)))
