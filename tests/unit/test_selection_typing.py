"""A selection whose last term is still being typed."""

from __future__ import annotations

import pytest

from fleet.selection import EVERYTHING, parse
from fleet.selection_typing import fields_begun, gone_on


@pytest.mark.parametrize("text", ["i", "IMAGE", "!stag", "category=h100 gpu", "power_w", "temp"])
def test_a_word_that_a_field_begins_with_is_not_yet_looked_for(text: str) -> None:
    assert fields_begun(parse(text), text)


def test_a_field_is_named_by_its_own_name_however_it_was_begun() -> None:
    assert fields_begun(parse("temp"), "temp") == ("gpu_temp", "gpu_margin")
    assert fields_begun(parse("power_watts"), "power_watts") == ("power",)


@pytest.mark.parametrize("text", ["image ", '"image"', "gpu-", "h100", "image=v2", "image v2"])
def test_a_finished_word_or_one_that_no_field_begins_with_is_looked_for(text: str) -> None:
    assert not fields_begun(parse(text), text)


@pytest.mark.parametrize(
    ("text", "longer"),
    [
        ("image=v", "image=v*"),
        ("category=h100 name=gpu-h1", "category=h100 name=gpu-h1*"),
        ("category=a100,h1", "category=a100,h1*"),
    ],
)
def test_a_value_may_go_on(text: str, longer: str) -> None:
    assert gone_on(parse(text), text) == parse(longer)


@pytest.mark.parametrize(
    "text", ["image=v ", 'image="v"', "image=v*", "gpu_temp>8", "image!=v", "!image=v", "stage=drained", "h1"]
)
def test_what_is_whole_or_no_text_does_not_go_on(text: str) -> None:
    assert gone_on(parse(text), text) is None


def test_nothing_typed_is_everything() -> None:
    assert fields_begun(EVERYTHING, "") == ()
    assert gone_on(EVERYTHING, "") is None
