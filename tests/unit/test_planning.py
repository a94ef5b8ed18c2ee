"""Plans: what each verb would do, what blocks it, what it costs, and what a hash promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet.category import Category, CheckPolicy, OnNode
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.lifecycle import may_move
from fleet.node import Admission, Image, Node, Readiness, Stage
from fleet.plan import (
    AwaitBoot,
    Blocker,
    Close,
    DrainOptions,
    Ground,
    NodeFacts,
    Permission,
    Plan,
    Release,
    Request,
    SourceIdentity,
    Verb,
)
from fleet.planning import plan
from fleet.policy import Policy
from fleet.workload import Budget, Keeper, Placement, Rest, WorkloadId
from tests.clocks import START
from tests.fakes import key, node, pod, request

COLLEAGUE = Hold(by="other@desk", reason="cable swap", kind=HolderKind.OURS, verb="cordon", operation="op-0")
UNSIGNED = Hold(by="unknown", kind=HolderKind.UNNAMED)


def planned(
    asked: Request,
    *nodes: Node,
    placements: tuple[Placement, ...] = (),
    policy: Policy | None = None,
    **ground: Any,
) -> Plan:
    facts = {
        item.key: NodeFacts(item, "1", item.admission is not Admission.OPEN, placements)
        for item in nodes or (node(),)
    }
    found = Ground(facts, identity={"lab": SourceIdentity("lab", "cluster-1")}, **ground)
    return plan(asked, found, policy or Policy(), START)


def actions(found: Plan) -> list[str]:
    return [type(step.action).__name__ for step in found.steps]


def blocked(found: Plan) -> str:
    return " | ".join(f"{blocker.says} > {blocker.go_on}" for blocker in found.all_blockers)


def test_a_cordon_is_one_step_and_names_who_why_and_the_operation() -> None:
    found = planned(request(Verb.CORDON))
    assert actions(found) == ["Close"]
    action = found.steps[0].action
    assert isinstance(action, Close)
    hold = action.hold
    assert (hold.by, hold.reason, hold.operation, hold.found) == (
        "oncall@desk",
        "maintenance",
        "op-1",
        "open",
    )
    assert found.free_to_run


def test_cordoning_what_i_cordon_already_is_a_line_and_no_step() -> None:
    mine = replace(COLLEAGUE, by="oncall@desk")
    found = planned(request(Verb.CORDON), node(admission=Admission.CORDONED, holds=(mine,)))
    assert found.nodes[0].already
    assert not found.steps
    assert found.free_to_run


@pytest.mark.parametrize("stage", [Stage.PROVISIONING, Stage.GATED, Stage.REIMAGING, Stage.QUARANTINED])
def test_an_uncordon_never_goes_round_the_gate(stage: Stage) -> None:
    found = planned(request(Verb.UNCORDON), node(stage=stage, admission=Admission.CORDONED))
    assert "gate it" in blocked(found)


def test_an_uncordon_behind_a_gate_taint_is_refused_whatever_the_stage_says() -> None:
    found = planned(request(Verb.UNCORDON), node(admission=Admission.GATED))
    assert "gate it" in blocked(found)


@pytest.mark.parametrize("hold", [COLLEAGUE, UNSIGNED])
def test_an_uncordon_of_a_foreign_hold_must_take_it_over_by_name(hold: Hold) -> None:
    closed = node(admission=Admission.CORDONED, holds=(hold,))
    assert "--take-over" in blocked(planned(request(Verb.UNCORDON), closed))
    taken = planned(request(Verb.UNCORDON, take_over=(hold.by,)), closed)
    assert taken.free_to_run
    assert hold.by in " ".join(taken.nodes[0].warnings)


def test_a_drain_closes_moves_and_marks() -> None:
    found = planned(request(Verb.DRAIN), placements=(pod(),))
    assert actions(found) == ["Close", "MoveWork", "Mark"]
    assert (found.radius.pods, found.radius.gpus, len(found.radius.workloads)) == (1, 8, 1)


def test_a_gang_is_one_workload_of_the_radius() -> None:
    found = planned(request(Verb.DRAIN, "gpu-1", "gpu-2"), node(), node("gpu-2"), placements=(pod(),))
    assert (found.radius.pods, len(found.radius.workloads)) == (2, 1)


@pytest.mark.parametrize("stage", [Stage.QUARANTINED, Stage.GATED, Stage.PROVISIONING, Stage.REIMAGING])
def test_draining_a_node_behind_the_gate_keeps_its_stage(stage: Stage) -> None:
    found = planned(request(Verb.DRAIN), node(stage=stage, admission=Admission.GATED), placements=(pod(),))
    assert actions(found) == ["Close", "MoveWork"]
    assert found.steps[0].action.stage is None  # type: ignore[union-attr]


def test_bare_pods_block_a_drain_until_forced_and_are_then_counted_as_lost() -> None:
    bare = pod(keeper=Keeper.NOBODY)
    assert "--force" in blocked(planned(request(Verb.DRAIN), placements=(bare,)))
    forced = planned(request(Verb.DRAIN, drain=DrainOptions(force=True)), placements=(bare,))
    assert forced.free_to_run
    assert forced.radius.jobs_lost == ("ml/job-0",)


def test_a_budget_that_allows_none_is_waited_for_and_named_with_its_owner() -> None:
    held = pod(budgets=(Budget("ml", "web", allowed=0, healthy=3, needed=3, owner="team-a"),))
    found = planned(request(Verb.DRAIN), placements=(held,))
    assert found.radius.waits_for == ("ml/web (owner: team-a)",)
    assert found.free_to_run


def test_an_unreachable_node_with_work_blocks_a_drain() -> None:
    found = planned(request(Verb.DRAIN), node(readiness=Readiness.UNKNOWN), placements=(pod(),))
    assert "unreachable" in blocked(found)


def test_an_unreachable_node_whose_pods_only_terminate_blocks_too() -> None:
    leaving = pod(terminating_since=START)
    found = planned(request(Verb.DRAIN), node(readiness=Readiness.UNKNOWN), placements=(leaving,))
    assert "unreachable" in blocked(found)


def test_a_deadline_must_be_longer_than_the_longest_grace() -> None:
    options = DrainOptions(deadline=timedelta(seconds=30))
    found = planned(request(Verb.DRAIN, drain=options), placements=(pod(grace=timedelta(seconds=30)),))
    assert "--timeout" in blocked(found)


def test_a_reimage_is_six_steps_ending_in_the_gate() -> None:
    found = planned(request(Verb.REIMAGE), placements=(pod(),))
    assert actions(found) == ["Close", "MoveWork", "Close", "PutImage", "AwaitBoot", "Check"]
    assert found.typed
    assert found.steps[3].action.image == "v2"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"replaceable": False}, "has no imager"),
        ({"image": Image("v1")}, "--to IMAGE"),
        ({"owner": "Machine prod/m-1"}, "through its owner"),
        ({"upgrade": "upgrade-required"}, "upgrade is under way"),
        ({"deleting": True}, "being deleted"),
        ({"stage": Stage.RETIRED}, "retired"),
    ],
)
def test_a_reimage_is_blocked_with_the_reason(changes: dict[str, Any], says: str) -> None:
    assert says in blocked(planned(request(Verb.REIMAGE), node(**changes)))


def test_an_image_that_the_category_does_not_want_is_warned_of_as_drift() -> None:
    policy = Policy(categories={"h100": Category("h100", desired_image="v2")})
    found = planned(request(Verb.REIMAGE, image="v3"), policy=policy)
    assert found.nodes[0].warnings[0] == (
        "its category (h100) wants v2: on v3 the node shows as drift from it"
    )
    assert "drift" not in " ".join(planned(request(Verb.REIMAGE), policy=policy).nodes[0].warnings)


def test_recreate_named_for_a_category_still_serves_only_replaceable_nodes() -> None:
    policy = Policy(categories={"h100": Category("h100", imager="recreate")})
    found = planned(request(Verb.REIMAGE), node(replaceable=False), policy=policy)
    assert "KWOK and simulated nodes only" in blocked(found)


def test_retiring_what_something_owns_is_refused() -> None:
    assert "owns it" in blocked(planned(request(Verb.RETIRE), node(owner="NodeClaim n-1")))


def test_a_gate_of_a_node_in_service_only_flags() -> None:
    found = planned(request(Verb.GATE))
    assert found.steps[0].action.flag_only is True  # type: ignore[union-attr]


def test_a_name_that_is_not_there_is_a_blocker_that_names_it() -> None:
    assert "no node gpu-9" in blocked(planned(request(Verb.CORDON, "gpu-1", "gpu-9")))


def test_no_permission_blocks_every_verb() -> None:
    for verb in (Verb.CORDON, Verb.DRAIN, Verb.GATE, Verb.REIMAGE, Verb.RETIRE, Verb.UNCORDON):
        found = planned(request(verb), permissions={("lab", verb): Permission.DENIED})
        assert "not permitted" in blocked(found)


def test_the_hash_leaves_out_work_times_and_the_operation_and_covers_what_was_promised() -> None:
    first = planned(request(Verb.DRAIN))
    assert planned(request(Verb.DRAIN, operation="op-2"), placements=(pod(),)).hash == first.hash
    for other in (
        planned(request(Verb.CORDON)),
        planned(request(Verb.DRAIN), node(uid="another")),
        planned(request(Verb.DRAIN), node(admission=Admission.CORDONED)),
        planned(request(Verb.DRAIN), node(holds=(COLLEAGUE,))),
        planned(request(Verb.DRAIN, drain=DrainOptions(force=True))),
    ):
        assert other.hash != first.hash


def test_many_nodes_go_in_waves_within_max_unavailable() -> None:
    nodes = [node(f"gpu-{number}") for number in range(1, 21)]
    asked = request(Verb.REIMAGE, *(item.key.name for item in nodes))
    found = planned(asked, *nodes, capacity={"h100": (160, 160, 20, 0)})
    assert (found.max_unavailable, found.waves) == (2, 10)
    assert found.typed


@pytest.mark.parametrize("verb", [Verb.CORDON, Verb.DRAIN, Verb.RETIRE, Verb.REIMAGE])
def test_every_verb_that_takes_capacity_goes_in_waves_under_max_unavailable(verb: Verb) -> None:
    """Sixty nodes, of which six may be out and four are: two at a time."""
    nodes = [node(f"gpu-{number}") for number in range(1, 13)]
    asked = request(verb, *(item.key.name for item in nodes))
    found = planned(asked, *nodes, capacity={"h100": (448, 480, 60, 4)})
    assert (found.at_once, found.waves) == (2, 6)
    assert found.pace == "6 waves of 2: max-unavailable 6 of category h100, 4 already out"


@pytest.mark.parametrize("verb", [Verb.UNCORDON, Verb.GATE])
def test_a_verb_that_takes_no_capacity_is_not_held_up_by_it(verb: Verb) -> None:
    nodes = [node(f"gpu-{number}", admission=Admission.CORDONED) for number in range(1, 13)]
    found = planned(
        request(verb, *(item.key.name for item in nodes)), *nodes, capacity={"h100": (0, 160, 20, 12)}
    )
    assert (found.at_once, found.max_unavailable, found.pace) == (12, None, "")


def test_the_category_with_the_least_room_sets_the_pace_of_a_mixed_plan() -> None:
    nodes = [node(f"gpu-{number}") for number in range(1, 7)]
    nodes += [node(f"old-{number}", category="a100") for number in range(1, 7)]
    capacity = {"h100": (800, 800, 100, 0), "a100": (160, 160, 20, 1)}
    found = planned(request(Verb.DRAIN, *(item.key.name for item in nodes)), *nodes, capacity=capacity)
    assert found.pace == "12 waves of 1: max-unavailable 2 of category a100, 1 already out"


def test_a_category_that_has_no_room_left_goes_one_by_one_and_says_so() -> None:
    nodes = [node(f"gpu-{number}") for number in range(1, 12)]
    asked = request(Verb.REIMAGE, *(item.key.name for item in nodes))
    found = planned(asked, *nodes, capacity={"h100": (136, 160, 20, 3)})
    assert found.at_once == 1
    assert found.warnings[-1] == (
        "max-unavailable 2 of category h100 is used up, 3 are out already: one node at a time"
    )


def test_waves_that_leave_more_closed_than_may_be_out_say_how_many() -> None:
    nodes = [node(f"gpu-{number}") for number in range(1, 12)]
    asked = request(Verb.DRAIN, *(item.key.name for item in nodes))
    found = planned(asked, *nodes, capacity={"h100": (160, 160, 20, 0)})
    assert "when done 11 nodes of category h100 are out, above its max-unavailable 2" in found.warnings[-1]


def test_a_category_that_is_not_listed_yet_is_no_bigger_than_what_is_asked_for() -> None:
    nodes = [node(f"gpu-{number}") for number in range(1, 12)]
    found = planned(request(Verb.DRAIN, *(item.key.name for item in nodes)), *nodes)
    assert (found.at_once, found.max_unavailable) == (2, 2)


def test_a_source_that_does_not_tell_what_we_may_is_no_yes_and_is_said() -> None:
    unsure = {("lab", Verb.DRAIN): Permission.UNKNOWN}
    found = planned(request(Verb.DRAIN), permissions=unsure)
    assert found.warnings == ("lab does not tell whether you may drain: it may refuse at the first change",)
    assert found.free_to_run
    sure = planned(request(Verb.DRAIN), permissions={("lab", Verb.DRAIN): Permission.ALLOWED})
    assert (sure.warnings, sure.hash) == ((), found.hash)


def test_the_radius_says_what_capacity_is_left() -> None:
    found = planned(request(Verb.CORDON), capacity={"h100": (160, 160, 20, 0)})
    assert found.radius.capacity_left == (152, 160)


def test_provisioning_makes_a_gated_node_and_refuses_a_name_that_is_taken() -> None:
    options = {"image": "v2", "category": "h100"}
    fresh = planned(replace(request(Verb.PROVISION, **options), nodes=(key("new-1"),)))
    assert actions(fresh) == ["Create", "AwaitBoot", "Check"]
    assert "there already" in blocked(planned(request(Verb.PROVISION, **options)))


def test_provisioning_runs_the_active_checks_of_its_category_before_the_verdict() -> None:
    checks = {"dcgm-diag": CheckPolicy(on_node=OnNode(level=2, image="lab/dcgm:4"))}
    policy = Policy(categories={"h100": Category("h100", checks=checks)})
    asked = replace(request(Verb.PROVISION, image="v2", category="h100"), nodes=(key("new-1"),))
    fresh = planned(asked, policy=policy)
    assert actions(fresh) == ["Create", "AwaitBoot", "Diagnose", "Check"]
    assert (
        fresh.steps[2].says
        == "run dcgm-diag on new-1: dcgmi diag level 2, about 2 min, at most 15 min, on all its GPUs, in lab/dcgm:4"
    )
    unable = planned(asked, policy=policy, no_checks={"lab": "you may not create jobs"})
    assert unable.free_to_run
    assert unable.nodes[0].warnings == (
        "dcgm-diag can't be run: you may not create jobs: it stays UNKNOWN, and the node closed",
    )


def release_of(found: Plan) -> Release:
    action = found.steps[0].action
    assert isinstance(action, Release)
    return action


def test_an_uncordon_names_what_it_lifts_so_that_no_later_hold_is_lifted_with_it() -> None:
    """A release that names nothing lifts everybody's."""
    found = planned(request(Verb.UNCORDON), node(admission=Admission.CORDONED))
    assert release_of(found).operations == ("op-1",)


def test_an_own_hold_that_names_no_operation_is_lifted_by_its_name() -> None:
    mine = replace(COLLEAGUE, by="oncall@desk", operation="")
    found = planned(request(Verb.UNCORDON), node(admission=Admission.CORDONED, holds=(mine,)))
    assert found.free_to_run
    assert release_of(found).take_over == ("oncall@desk",)


def test_an_uncordon_of_a_node_that_failed_its_gate_says_so() -> None:
    record = GateRecord(Verdict.FAIL, (Finding("gpus", Verdict.FAIL, "7", "8"),))
    found = planned(request(Verb.UNCORDON), node(admission=Admission.CORDONED, gate=record))
    assert "gpus FAIL (7, wants 8)" in " ".join(found.nodes[0].warnings)


@pytest.mark.parametrize(
    ("readiness", "says"),
    [(Readiness.READY, "ready"), (Readiness.NOT_READY, "not-ready"), (Readiness.UNKNOWN, "not heard of")],
)
def test_a_node_as_found_says_what_is_unknown_of_it(readiness: Readiness, says: str) -> None:
    found = planned(request(Verb.CORDON), node(readiness=readiness))
    assert found.nodes[0].found.startswith(f"in-service, open, {says}")


def test_a_node_that_somebody_else_drained_gains_a_hold_of_ours() -> None:
    drained = node(admission=Admission.CORDONED, stage=Stage.DRAINED, holds=(COLLEAGUE,))
    assert actions(planned(request(Verb.DRAIN), drained)) == ["Close", "MoveWork", "Mark"]
    mine = replace(COLLEAGUE, by="oncall@desk")
    assert planned(request(Verb.DRAIN), replace(drained, holds=(mine,))).nodes[0].already == ("drained",)


def test_a_drained_node_with_pods_that_still_stop_is_not_drained() -> None:
    mine = replace(COLLEAGUE, by="oncall@desk")
    drained = node(admission=Admission.CORDONED, stage=Stage.DRAINED, holds=(mine,))
    assert planned(request(Verb.DRAIN), drained, placements=(pod(terminating_since=START),)).steps


def test_a_check_that_writes_nothing_needs_no_permission() -> None:
    denied = {("lab", Verb.GATE): Permission.DENIED}
    assert planned(request(Verb.GATE, check_only=True), permissions=denied).free_to_run


def test_a_category_gated_by_cordon_keeps_no_agent_out() -> None:
    policy = Policy(categories={"h100": Category("h100", gate_by_cordon=True)})
    facts = {key("gpu-1"): NodeFacts(node(), kept_out=("kube-system/device-plugin",))}
    ground = Ground(facts)
    assert "device-plugin" in blocked(plan(request(Verb.REIMAGE), ground, Policy(), START))
    found = plan(request(Verb.REIMAGE), ground, policy, START)
    assert found.free_to_run
    assert not any(step.action.gate for step in found.steps if isinstance(step.action, Close))


def test_the_hash_covers_the_image_as_found_and_the_image_of_each_node() -> None:
    first = planned(request(Verb.REIMAGE))
    assert planned(request(Verb.REIMAGE), node(image=Image("v0", "label", "v2"))).hash != first.hash
    assert planned(request(Verb.REIMAGE), node(image=Image("v1", "label", "v3"))).hash != first.hash
    one, other = node(image=Image("v1", "", "v2")), node("gpu-2", image=Image("v1", "", "v3"))
    swapped = node(image=Image("v1", "", "v3")), node("gpu-2", image=Image("v1", "", "v2"))
    asked = request(Verb.REIMAGE, "gpu-1", "gpu-2")
    assert planned(asked, one, other).hash != planned(asked, *swapped).hash


def test_targets_that_are_out_of_service_already_leave_room_for_each_other() -> None:
    """Twelve quarantined nodes of a hundred: to work on them takes nothing away."""
    closed = [node(f"gpu-{number}", admission=Admission.GATED) for number in range(1, 13)]
    asked = request(Verb.REIMAGE, *(item.key.name for item in closed))
    found = planned(asked, *closed, capacity={"h100": (704, 800, 100, 12)})
    assert (found.at_once, found.waves) == (10, 2)


def test_capacity_that_is_unknown_of_a_target_is_not_zero() -> None:
    found = planned(request(Verb.CORDON), node(gpus_allocatable=None), capacity={"h100": (160, 160, 20, 0)})
    assert found.radius.capacity_left is None


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.RETIRED])
@pytest.mark.parametrize("verb", [Verb.CORDON, Verb.UNCORDON, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE])
def test_every_plan_that_may_run_moves_a_node_legally(verb: Verb, stage: Stage) -> None:
    found = planned(request(verb), node(stage=stage, admission=Admission.CORDONED))
    if not found.free_to_run:
        return
    now = stage
    for step in found.steps:
        wanted = getattr(step.action, "stage", None) or now
        assert may_move(now, wanted)
        now = Stage.GATED if isinstance(step.action, AwaitBoot) else wanted
    assert may_move(now, Stage.QUARANTINED)


@pytest.mark.parametrize(
    ("verb", "then"),
    [
        (Verb.REIMAGE, "it stays closed after this"),
        (Verb.DRAIN, "it stays closed for them when this is undone"),
        (Verb.RETIRE, "it is removed all the same"),
        (Verb.GATE, "a PASS leaves it closed for them"),
    ],
)
def test_a_plan_for_a_node_that_a_colleague_holds_says_so(verb: Verb, then: str) -> None:
    held = node(admission=Admission.CORDONED, holds=(COLLEAGUE,))
    assert f"held by other@desk: cable swap; {then}" in planned(request(verb), held).nodes[0].warnings


@pytest.mark.parametrize("verb", [Verb.REIMAGE, Verb.DRAIN, Verb.RETIRE, Verb.GATE])
def test_a_plan_for_a_node_that_another_operation_works_on_says_so(verb: Verb) -> None:
    at_work = Hold(by="other@desk", reason="patch", verb="reimage", operation="op-0")
    closed = node(admission=Admission.CORDONED, stage=Stage.DRAINING)
    says = "operation op-0 (reimage) of other@desk: patch may still be under way: see that it has ended"
    assert says in planned(request(verb), replace(closed, holds=(at_work,))).nodes[0].warnings
    failed = replace(at_work, step="4-putimage")
    assert says not in planned(request(verb), replace(closed, holds=(failed,))).nodes[0].warnings


def test_a_hold_that_a_gate_lifts_is_not_warned_of() -> None:
    failed = Hold(by="other@desk", reason="xid", verb="gate", operation="op-0")
    held = node(admission=Admission.GATED, stage=Stage.QUARANTINED, holds=(failed,))
    assert "held by" not in " ".join(planned(request(Verb.REIMAGE), held).nodes[0].warnings)


def test_a_job_that_loses_one_rank_says_how_much_of_it_idles_elsewhere() -> None:
    deployed = pod("api-0", workload=WorkloadId("web", "Deployment", "api"))
    elsewhere = {("lab", pod().workload): Rest(3, 24), ("lab", deployed.workload): Rest(7, 56)}
    found = planned(request(Verb.DRAIN), placements=(pod(), deployed), elsewhere=elsewhere)
    assert found.radius.gangs == ("ml/job is a gang of 32 GPUs on 4 nodes: 24 elsewhere may stall",)
    assert found.hash == planned(request(Verb.DRAIN), placements=(pod(), deployed)).hash


def test_a_gang_whose_gpus_elsewhere_are_not_known_is_told_by_its_nodes() -> None:
    found = planned(
        request(Verb.DRAIN), placements=(pod(),), elsewhere={("lab", pod().workload): Rest(1, None)}
    )
    assert found.radius.gangs == ("ml/job also runs on 1 other node, which may stall",)


REBOOT = Blocker(key("gpu-1"), "a colleague's reboot takes DRAIN away", "wait until it is back")
MOVING = Blocker(key("gpu-1"), "a reboot is under way", "wait until it is back")


def over(
    verb: Verb,
    *,
    closed: bool = False,
    check_only: bool = False,
    upgrade: str = "",
    no_close: Blocker = REBOOT,
) -> Plan:
    """A plan over a node whose orchestrator would let no change of admission stand."""
    admission = Admission.CORDONED if closed else Admission.OPEN
    at = node(admission=admission, reboots=True, upgrade=upgrade)
    facts = NodeFacts(at, "1", closed, no_close=no_close, no_open=MOVING)
    asked = request(verb, check_only=check_only)
    return plan(asked, Ground({at.key: facts}, identity={"lab": SourceIdentity("lab", "c")}), Policy(), START)


@pytest.mark.parametrize("verb", [Verb.CORDON, Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE])
def test_a_hold_that_the_orchestrator_would_undo_is_refused_by_the_plan(verb: Verb) -> None:
    found = over(verb)
    assert REBOOT in found.all_blockers
    assert MOVING not in found.all_blockers


def test_opening_what_may_not_be_touched_now_is_refused_by_the_plan() -> None:
    assert found_blockers(over(Verb.UNCORDON, closed=True)) == [MOVING]


def test_a_gate_that_would_open_or_close_is_refused_and_one_that_only_looks_is_not() -> None:
    assert found_blockers(over(Verb.GATE, closed=True)) == [MOVING, REBOOT]
    assert found_blockers(over(Verb.GATE, closed=True, check_only=True)) == []
    assert found_blockers(over(Verb.GATE)) == []


@pytest.mark.parametrize(("verb", "warned"), [(Verb.DRAIN, True), (Verb.CORDON, False)])
def test_a_radius_that_may_be_more_is_said_to_be(verb: Verb, warned: bool) -> None:
    facts = NodeFacts(node(), "1", placements=(pod(gpus=0),), untold="how many GPUs 1 pod holds is not known")
    found = plan(
        request(verb),
        Ground({key("gpu-1"): facts}, identity={"lab": SourceIdentity("lab", "c")}),
        Policy(),
        START,
    )
    assert (facts.untold in found.nodes[0].warnings) is warned


def test_one_reason_against_opening_and_closing_is_told_once() -> None:
    assert found_blockers(over(Verb.GATE, closed=True, no_close=MOVING)) == [MOVING]


def test_a_reimage_names_a_colleagues_reboot_once() -> None:
    found = over(Verb.REIMAGE, upgrade="reboot requested: driver, then RESUME")
    assert "an upgrade is under way" not in blocked(found)
    assert REBOOT in found.all_blockers


def found_blockers(found: Plan) -> list[Blocker]:
    return [each for each in found.all_blockers if each in (REBOOT, MOVING)]
