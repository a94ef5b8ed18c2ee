"""Reads a drill from its file, strictly: an unknown key, a wrong word or a text that is missing is named with what was expected.

Packaged drills and a site's own are read alike. `docs/drills.md` tells how one is written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TypeVar

from fleet.drill import (
    TAKES_A_WORD,
    Arranged,
    Arrangement,
    Drill,
    DrillStage,
    DrillStep,
    DrillTexts,
    Expectation,
    PodState,
    Shows,
)
from fleet.plan import Verb
from fleet.selection import SelectionError, parse
from tui.toml_section import BadSettings, Section

T = TypeVar("T")

_WITHIN = timedelta(minutes=2)
_SETTLES = timedelta(seconds=10)
_WALKED = ("gate", "cordon", "uncordon", "drain", "reimage", "retire", "provision")


def packaged() -> tuple[str, ...]:
    """The names of the drills that come with the program."""
    folder = resources.files("tui").joinpath("drills")
    return tuple(sorted(Path(each.name).stem for each in folder.iterdir() if each.name.endswith(".toml")))


def load_drill(name: str) -> Drill:
    """The packaged drill of that name, or the one in that file. Raises BadSettings."""
    if name in packaged():
        text = resources.files("tui").joinpath("drills", f"{name}.toml").read_text(encoding="utf-8")
        return read_drill(text, Path(f"{name}.toml"))
    path = Path(name).expanduser()
    if not path.suffix and not path.is_file():
        raise BadSettings(
            "drill", "", f"there is no drill {name!r}; known are {', '.join(packaged())}, or FILE"
        )
    try:
        return read_drill(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(path, "", f"the drill can't be read: {error}") from error


def read_drill(text: str, file: Path) -> Drill:
    """A drill from the text of its file. Raises BadSettings with the key that is wrong."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(file, "", f"it is not TOML: {error}") from error
    top = Section(file, "", table)
    drill = Drill(
        name=file.stem,
        title=_needed(top, "title"),
        says=_needed(top, "says"),
        category=top.text("category", "drill"),
        gpus=top.integer("gpus", 8, least=1),
        image=_needed(top, "image"),
        settle=top.span("settle", _SETTLES),
        pod_gpus=top.integer("pod_gpus", 1, least=0),
        stages=_all(top, "stage", _stage),
    )
    top.finish()
    _walkable(drill, top)
    return drill


def _walkable(drill: Drill, top: Section) -> None:
    """A walk has one node: it must be made before anything else is asked of it."""
    verbs = [step.verb for _, step in drill.steps() if step.verb is not None]
    if not verbs or verbs[0] is not Verb.PROVISION or verbs.count(Verb.PROVISION) > 1:
        raise top.bad("stage", 'the first command of a drill is `do = "provision"`, and there is one such')


def _stage(section: Section) -> DrillStage:
    return DrillStage(_needed(section, "title"), _all(section, "step", _step))


def _step(section: Section) -> DrillStep:
    deed = section.choice("do", ("", *_WALKED), "")
    verb = Verb(deed) if deed else None
    image = section.optional_text("image")
    if image is not None and verb not in (Verb.PROVISION, Verb.REIMAGE):
        raise section.bad("image", "only provision and reimage put an image on")
    if verb is Verb.PROVISION and image is None:
        raise section.bad("image", "expected the image to provision at")
    texts = DrillTexts(
        does=_needed(section, "does"),
        why=_needed(section, "why"),
        expect=_needed(section, "expect"),
        cost=_needed(section, "cost") if verb is not None else section.text("cost", ""),
        mechanism=section.text("mechanism", ""),
        idea=section.text("idea", ""),
        outside=section.text("outside", ""),
    )
    return DrillStep(
        title=_needed(section, "title"),
        texts=texts,
        expects=_all(section, "checkpoint", _expectation),
        within=section.span("within", _WITHIN),
        verb=verb,
        image=image,
        arrange=tuple(_arrangement(section, word) for word in section.texts("arrange")),
    )


def _expectation(section: Section) -> Expectation:
    node, pod, finding = (section.optional_text(key) for key in ("node", "pod", "finding"))
    gone, budget = section.flag("gone", default=False), section.flag("budget", default=False)
    if sum((node is not None, pod is not None, finding is not None, gone, budget)) != 1:
        raise section.bad("", "expected one of node, pod, finding, budget = true and gone = true")
    if gone or budget:
        return Expectation(Shows.GONE if gone else Shows.BUDGET)
    if pod is not None:
        states = {state.value: state for state in PodState}
        if pod not in states:
            raise section.bad("pod", f"expected one of {', '.join(states)}, found {pod!r}")
        return Expectation(Shows.POD, pod=states[pod])
    if finding is not None:
        return Expectation(Shows.FINDING, check=finding)
    try:
        selection = parse(node or "")
    except SelectionError as error:
        raise section.bad("node", f"expected a selection: {error.message} in {node!r}") from error
    if not selection:
        raise section.bad("node", "expected a selection like 'stage=in-service admission=open'")
    return Expectation(Shows.NODE, selection)


def _arrangement(section: Section, text: str) -> Arrangement:
    known = {arranged.value: arranged for arranged in Arranged}
    name, _, word = text.partition(" ")
    if name not in known:
        raise section.bad("arrange", f"expected one of {', '.join(known)}, found {name!r}")
    if (known[name] in TAKES_A_WORD) != bool(word.strip()):
        wants = "expected a word after it" if known[name] in TAKES_A_WORD else "it takes no word"
        raise section.bad("arrange", f"{name}: {wants}, found {text!r}")
    return Arrangement(known[name], word.strip())


def _needed(section: Section, key: str) -> str:
    text = section.text(key, "").strip()
    if not text:
        raise section.bad(key, "expected a text, found none")
    return text


def _all(section: Section, key: str, read: Callable[[Section], T]) -> tuple[T, ...]:
    """Every table of the list `key`, of which there must be one at least."""
    tables: Sequence[Section] = section.tables(key)
    if not tables:
        raise section.bad(key, f"expected at least one [[...{key}]]")
    found = []
    for table in tables:
        found.append(read(table))
        table.finish()
    return tuple(found)
