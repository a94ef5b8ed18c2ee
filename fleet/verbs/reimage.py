"""Reimage: drain, close behind the gate, put the image on, wait for the node's own word, check, admit."""

from __future__ import annotations

from fleet.active_checks import diagnose_actions, not_to_be_run
from fleet.category import RECREATE, SLURM_REBOOT
from fleet.node import Stage
from fleet.plan import Action, AwaitBoot, Blocker, Check, Close, NodePlan, PutImage, Verb
from fleet.verbs.common import (
    Question,
    block,
    found,
    general_blockers,
    held_warnings,
    keeps_its_stage,
    number,
)
from fleet.verbs.drain import close_and_move, moving_blockers, moving_warnings, waiting_warnings
from fleet.verbs.drain_filters import sort_placements


def imager_of(question: Question) -> str:
    """The imager that serves this node: its category's, else `recreate` where the node allows it, else none."""
    if question.category.imager:
        return question.category.imager
    return RECREATE if question.node.replaceable else ""


def image_of(question: Question) -> str | None:
    """The image to put on: the one asked for, else the category's, else what the node's own annotation wants."""
    return question.request.options.image or question.category.desired_image or question.node.image.desired


def plan_reimage(question: Question) -> NodePlan:
    """Every step of a reimage, or why it can't be done here."""
    node = question.node
    image, imager = image_of(question), imager_of(question)
    sorting = sort_placements(question.facts.placements, question.request.options.drain)
    blockers = general_blockers(question) + _reimage_blockers(question, image, imager)
    blockers += moving_blockers(question, sorting)
    unable, untold = not_to_be_run(question)
    blockers += unable
    warnings = [
        *held_warnings(question, "it stays closed after this"),
        *moving_warnings(sorting.evict),
        *waiting_warnings(question, sorting),
        *untold,
    ]
    if node.asleep:
        warnings.insert(0, f"this wakes a node that sleeps, instead of rebooting it: {node.asleep}")
    if image is not None and node.image.running == image:
        warnings.insert(0, f"it already runs {image}: it will be put on again")
    wanted = question.category.desired_image
    if image is not None and wanted is not None and image != wanted:
        category = node.category or "none"
        warnings.insert(
            0, f"its category ({category}) wants {wanted}: on {image} the node shows as drift from it"
        )
    actions = [] if image is None or not imager else _actions(question, image, imager)
    return NodePlan(
        node.key,
        steps=number(question, actions),
        blockers=tuple(blockers),
        warnings=tuple(warnings),
        moves=tuple(sorting.evict),
        found=found(question.facts),
    )


def _actions(question: Question, image: str, imager: str) -> list[tuple[Action, str]]:
    name, hold = question.node.key.name, question.hold(Verb.REIMAGE)
    by_cordon = question.category.gate_by_cordon
    settle = question.category.settle_deadline
    first = None if keeps_its_stage(question.node) else Stage.DRAINING
    return [
        *close_and_move(question, first),
        (Close(hold, Stage.REIMAGING, gate=not by_cordon, again=True), f"close {name} behind the gate"),
        (PutImage(image, imager, hold, by_cordon), f"put {image} on {name} by {imager}"),
        (AwaitBoot(image, question.category.boot_deadline), f"wait until {name} itself reports {image}"),
        *diagnose_actions(question.request, name, question.category),
        (
            Check(question.request.operation, question.request.by, settle=settle, by_cordon=by_cordon),
            f"gate {name}, and admit it on a PASS",
        ),
    ]


def _reimage_blockers(question: Question, image: str | None, imager: str) -> list[Blocker]:
    node, blockers = question.node, []
    if not imager:
        category = node.category or "none"
        blockers.append(
            block(node.key, f"its category ({category}) has no imager", go_on="name one in the configuration")
        )
    elif imager == RECREATE and not node.replaceable:
        blockers.append(block(node.key, "the imager recreate serves KWOK and simulated nodes only"))
    elif imager == SLURM_REBOOT and not node.reboots:
        says = "the imager slurm_reboot serves nodes of a Slurm that has a RebootProgram only"
        blockers.append(
            block(node.key, says, go_on="set RebootProgram in slurm.conf, or name another imager")
        )
    if image is None:
        blockers.append(
            block(node.key, "no image is desired of it", go_on="give one with --to IMAGE", option=True)
        )
    if node.owner:
        blockers.append(block(node.key, f"{node.owner} owns it", go_on="reimage it through its owner"))
    if node.upgrade and question.facts.no_close is None:
        blockers.append(
            block(node.key, f"an upgrade is under way on it: {node.upgrade}", go_on="wait until it ended")
        )
    if question.facts.kept_out and not question.category.gate_by_cordon:
        blockers.append(
            block(
                node.key,
                "the gate taint would keep out " + ", ".join(question.facts.kept_out),
                go_on="let them tolerate it, or gate this category by cordon (gate_by_cordon)",
            )
        )
    return blockers
