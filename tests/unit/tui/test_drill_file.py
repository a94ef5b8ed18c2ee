"""A drill's file is read strictly, and what is wrong in it is named with what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet.drill import Arranged, Drill, Filled, PodState, Shows
from fleet.plan import Verb
from tui.drill_file import load_drill, packaged, read_drill
from tui.toml_section import BadSettings

FILE = Path("walk.toml")
GOOD = """
title = "A walk"
says = "It walks."
image = "v1"
[[stage]]
title = "First"
[[stage.step]]
title = "Make it"
do = "provision"
image = "v1"
does = "It is made."
why = "To have it."
cost = "Nothing."
expect = "It is there."
[[stage.step.checkpoint]]
node = "image=v1"
"""
DOCS = Path(__file__).parents[3] / "docs" / "drills.md"


def example() -> str:
    found = re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def read(text: str) -> Drill:
    return read_drill(text, FILE)


def test_a_drill_has_its_defaults() -> None:
    drill = read(GOOD)
    assert (drill.name, drill.category, drill.gpus, drill.pod_gpus) == ("walk", "drill", 8, 1)
    (step,) = drill.stages[0].steps
    assert (step.verb, step.image, step.arrange) == (Verb.PROVISION, "v1", ())
    assert step.expects[0].shows is Shows.NODE


def test_the_example_in_the_docs_can_be_read() -> None:
    drill = read(example())
    assert [step.verb for _, step in drill.steps()] == [Verb.PROVISION, Verb.GATE]


def test_the_docs_name_every_word_that_a_file_may_use() -> None:
    text = DOCS.read_text()
    for word in (*(each.value for each in Arranged), *(each.value for each in Shows)):
        assert f"`{word}" in text or f"{word} =" in text, word
    for state in PodState:
        assert f'pod = "{state.value}"' in text


@pytest.mark.parametrize("name", packaged())
def test_every_packaged_drill_can_be_read_and_says_all_that_a_coach_says(name: str) -> None:
    drill = load_drill(name)
    for _, step in drill.steps():
        texts = step.texts
        assert all((texts.does, texts.why, texts.expect, texts.mechanism, texts.idea, texts.outside)), (
            step.title
        )
        assert texts.cost or step.verb is None


def test_the_lifecycle_holds_the_whole_map_of_concepts() -> None:
    said = " ".join(
        f"{step.texts.mechanism} {step.texts.idea}" for _, step in load_drill("lifecycle").steps()
    ).lower()
    for concept in (
        *("head node", "software image", "category", "provisioning", "health checks"),
        *("workload-manager integration", "patching", "users and roles"),
    ):
        assert concept in said


def test_no_drill_claims_to_be_another_product() -> None:
    for name in packaged():
        for _, step in load_drill(name).steps():
            assert "cmsh" not in " ".join(
                (step.texts.does, step.texts.mechanism, step.texts.idea, step.texts.outside)
            )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('title = "A walk"', "", "title: expected a text"),
        ('[[stage.step.checkpoint]]\nnode = "image=v1"', "", "step.1.checkpoint: expected at least one"),
        (
            'image = "v1"\n[[stage]]',
            'image = "v1"\nimge = 1\n[[stage]]',
            "imge: unknown key; did you mean image?",
        ),
        ('do = "provision"', 'do = "explode"', "stage.1.step.1.do: expected one of"),
        ('do = "provision"', 'do = "gate"', "stage.1.step.1.image: only provision and reimage"),
        ('do = "provision"\nimage = "v1"', 'do = "gate"', "the first command of a drill"),
        ('why = "To have it."', "", "stage.1.step.1.why: expected a text"),
        ('cost = "Nothing."', "", "stage.1.step.1.cost: expected a text"),
        ('cost = "Nothing."', 'cost = "Nothing."\nwithin = "soon"', "within: expected a duration"),
        ('cost = "Nothing."', 'cost = "N"\narrange = ["explode"]', "arrange: expected one of work"),
        ('cost = "Nothing."', 'cost = "N"\narrange = ["want"]', "arrange: want: expected a word after it"),
        ('cost = "Nothing."', 'cost = "N"\narrange = ["mend it"]', "arrange: mend: it takes no word"),
        (
            'node = "image=v1"',
            'node = "imag=v1"',
            "checkpoint.1.node: expected a selection: there is no field",
        ),
        ('node = "image=v1"', 'node = ""', "checkpoint.1.node: expected a selection like"),
        ('node = "image=v1"', 'pod = "asleep"', "checkpoint.1.pod: expected one of pending"),
        ('node = "image=v1"', 'node = "image=v1"\ngone = true', "checkpoint.1: expected one of node"),
        ('node = "image=v1"', "", "checkpoint.1: expected one of node"),
        ("[[stage]]", "stage = 1", "it is not TOML"),
        ('says = "It walks."', "says = 1", "says: expected a text, found 1"),
    ],
)
def test_a_mistake_names_file_key_and_what_was_expected(old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(BadSettings) as raised:
        read(GOOD.replace(old, new, 1))
    assert str(raised.value).startswith("walk.toml: ")
    assert says in str(raised.value)


def test_an_unknown_drill_names_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"known are .*lifecycle"):
        load_drill("lifecicle")
    with pytest.raises(BadSettings, match="can't be read"):
        load_drill(str(tmp_path / "nowhere.toml"))


@pytest.mark.parametrize("name", packaged())
def test_what_the_coach_says_first_of_a_packaged_step_fits_a_line_of_80_columns(name: str) -> None:
    drill, room = load_drill(name), 78
    fill = Filled({"node": "drill-4f21c0", "namespace": "quarterdeck-drill-4f21c0", "image": "v1"})
    for number, stage in enumerate(drill.stages, 1):
        for step in stage.steps:
            which = f" ({stage.steps.index(step) + 1}/{len(stage.steps)})" if len(stage.steps) > 1 else ""
            head = f"{number} of {len(drill.stages)} {stage.title}{which}  {step.title} not reached"
            assert len(head) <= room, head
            assert len(f"Expect  {fill(step.texts.expect)}") <= room, step.texts.expect
