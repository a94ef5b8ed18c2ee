"""A node as Slurm shows it, as the fleet knows it: stage, admission, holders, images, GPUs, drift."""

from __future__ import annotations

import msgspec
import pytest

from backends.slurm.controller import ControllerConfig
from backends.slurm.convert import Cluster, node_of, seen_of, version_of
from backends.slurm.features import NodeReading
from backends.slurm.our_note import Entry, Note, SavedReason, split
from backends.slurm.show import Shown, read_nodes
from backends.slurm.versions import differs
from fleet.category import Category
from fleet.holder import HolderKind
from fleet.node import Admission, Node, Readiness, Stage, Topology
from fleet.policy import Policy
from tests.unit.slurm.lines import line, shown

SIGNED = "[colleague@2026-03-01T02:30:00]"
CLUSTER = Cluster(
    ControllerConfig(version="22.05.8", reboot_program="/sbin/reboot"), {"gpu1": Topology(switch="leaf1")}
)


def node(seen: Shown, *, reading: NodeReading | None = None, cluster: Cluster = CLUSTER) -> Node:
    return node_of(seen, "lab", reading or NodeReading(), cluster)


def noted(note: Note, state: str = "IDLE+DRAIN", reason: str = "quarterdeck: dust") -> Shown:
    return shown(state=state, after=f"Reason={reason} {SIGNED} Extra={split('').text(note)}")


HELD = Entry(by="oncall", verb="drain", operation="op-1", reason="dust")


def test_a_node_stands_where_the_topology_says_and_boots_by_its_program() -> None:
    seen = node(shown())
    assert (seen.topology.switch, seen.reboots) == ("leaf1", True)
    assert (seen.boot_id, seen.software.agent) == ("2026-03-01T02:00:00+00:00", "22.05.8")
    assert seen.software.kernel == "6.1.0-13-amd64"
    assert not node(shown(), cluster=Cluster()).reboots


@pytest.mark.parametrize("field", ["Comment", "Extra"])
def test_slinky_says_on_which_kubernetes_node_the_pod_is(field: str) -> None:
    said = '{"namespace":"slurm","podName":"slinky-0","node":"gke-gpu-7"}'
    assert node(shown(after=f"{field}={said}")).known_as == (("pod", "gke-gpu-7"),)


@pytest.mark.parametrize(
    "said", ['{"podName":"slinky-0"}', '{"podName":"slinky-0","node":7}', '"podName" "node" {', "[]"]
)
def test_a_comment_that_says_no_node_ties_nothing(said: str) -> None:
    assert node(shown(after=f"Comment={said}")).known_as == ()


# Category and image.


def test_category_and_image_come_from_features_by_the_built_in_patterns() -> None:
    seen = node(shown(features="a100,category=train-a,image=2026.1"))
    assert (seen.category, seen.category_from) == ("train-a", "feature")
    assert (seen.image.running, seen.image.running_from) == ("2026.1", "feature")


def test_without_such_features_the_partition_and_the_os_say_it() -> None:
    seen = node(shown(features="(null)", partitions="long,h100"))
    assert (seen.category, seen.category_from) == ("long", "partition")
    assert (seen.image.running, seen.image.running_from) == ("Linux 6.1.0-13-amd64", "OS")


def test_of_several_partitions_a_configured_category_goes_first() -> None:
    policy = Policy(categories={"h100": Category("h100", desired_image="v2")})
    seen = node(shown(partitions="long,h100"), reading=NodeReading(policy))
    assert (seen.category, seen.image.desired, seen.image.drifted) == ("h100", "v2", True)


def test_the_first_pattern_is_tried_on_every_feature_before_the_second() -> None:
    reading = NodeReading(category_patterns=("^pool:(.+)$", "^(h.*)$"))
    assert node(shown(features="h100,pool:a"), reading=reading).category == "a"


def test_an_image_that_a_reimage_wants_outranks_the_category_s() -> None:
    policy = Policy(categories={"train": Category("train", desired_image="v2")})
    seen = node(
        noted(Note(holds=(HELD,), image="v3", stage="reimaging", gated=True)), reading=NodeReading(policy)
    )
    assert seen.image.desired == "v3"


# Stage and admission.


def test_our_note_names_the_stage_while_the_node_is_closed() -> None:
    seen = node(noted(Note(holds=(HELD,), stage="reimaging", gated=True)))
    assert (seen.stage, seen.admission) == (Stage.REIMAGING, Admission.GATED)
    assert [(hold.by, hold.kind) for hold in seen.holds] == [("oncall", HolderKind.OURS)]
    assert seen.operation == "op-1"


def test_a_node_that_somebody_resumed_is_in_service_whatever_our_note_says() -> None:
    note = split("").text(Note(holds=(HELD,), stage="quarantined", gated=True))
    seen = node(shown(state="MIXED", after=f"Extra={note}"))
    assert (seen.stage, seen.admission, seen.label_stage) == (Stage.IN_SERVICE, Admission.OPEN, "quarantined")
    assert [hold.by for hold in seen.holds] == ["oncall"]


def test_a_gate_without_a_stage_is_gated() -> None:
    assert node(noted(Note(holds=(HELD,), gated=True))).stage is Stage.GATED


def test_a_cordon_of_ours_leaves_the_node_in_service_and_a_drain_does_not() -> None:
    cordon = msgspec.structs.replace(HELD, verb="cordon")
    assert node(noted(Note(holds=(cordon,)))).stage is Stage.IN_SERVICE
    assert node(noted(Note(holds=(cordon, HELD)))).stage is Stage.DRAINED
    assert node(noted(Note(holds=(HELD,)), state="MIXED+DRAIN")).stage is Stage.DRAINING


def test_a_stage_that_we_left_behind_does_not_hide_a_colleague_s_drain() -> None:
    assert node(noted(Note(stage="in-service"), reason="dust")).stage is Stage.DRAINED


def test_a_node_that_was_closed_keeps_its_stage_while_a_controller_that_has_just_started_waits_for_word() -> (
    None
):
    ours = Note((Entry(by="oncall", verb="drain", operation="op-1"),), stage="drained")
    text = f"Reason=quarterdeck: dust {SIGNED} Extra={split('').text(ours)}"
    assert node(shown(state="UNKNOWN+DRAIN", registered=False, after=text)).stage is Stage.DRAINED
    assert node(shown(state="UNKNOWN+DRAIN", registered=False, after="Reason=x")).stage is Stage.DRAINED


def test_a_node_that_never_registered_is_being_provisioned_unless_it_sleeps() -> None:
    fresh = node(shown(state="UNKNOWN", registered=False))
    assert (fresh.stage, fresh.readiness, fresh.gpus_allocatable) == (
        Stage.PROVISIONING,
        Readiness.UNKNOWN,
        None,
    )
    asleep = node(shown(state="IDLE+CLOUD+POWERED_DOWN", registered=False))
    assert (asleep.stage, asleep.admission) == (Stage.IN_SERVICE, Admission.OPEN)
    assert [condition.reason for condition in asleep.conditions if condition.type == "State"] == ["asleep"]
    assert asleep.bad_conditions == ()


# Holders.


@pytest.mark.parametrize(
    ("reason", "by", "kind"),
    [
        ("fan", "colleague", HolderKind.UNNAMED),
        ("NHC: check_hw_gm: no module", "NHC", HolderKind.CONTROLLER),
        ("Healthcheck failures: gpu", "healthagent", HolderKind.CONTROLLER),
        ("slurm-operator: pod is deleted", "slurm-operator", HolderKind.CONTROLLER),
        ("[user_problem] disk full", "Soperator", HolderKind.CONTROLLER),
        ("Action:Replace", "HyperPod", HolderKind.CONTROLLER),
        ("Not responding", "slurmctld", HolderKind.CONTROLLER),
        ("Node unexpectedly rebooted", "slurmctld", HolderKind.CONTROLLER),
        ("kernel : reboot timed out", "slurmctld", HolderKind.CONTROLLER),
        ("gres/gpu count reported lower than configured (0 < 1)", "slurmctld", HolderKind.CONTROLLER),
    ],
)
def test_the_reason_names_the_holder(reason: str, by: str, kind: HolderKind) -> None:
    seen = shown(state="IDLE+DRAIN", after=f"Reason={reason} {SIGNED}")
    (hold,) = node(seen).holds
    assert (hold.by, hold.kind, hold.reason) == (by, kind, reason)
    assert hold.since is not None
    assert seen_of(seen).foreign == (hold,)


def test_a_reason_on_a_node_that_is_open_holds_nothing() -> None:
    seen = shown(state="IDLE+CLOUD+POWERED_DOWN", after=f"Reason=stopping {SIGNED}")
    assert node(seen).holds == ()
    assert seen_of(seen).foreign == ()


def test_a_drain_that_nobody_explained_is_held_by_an_unknown_person() -> None:
    assert [(hold.by, hold.kind) for hold in node(shown(state="IDLE+DRAIN")).holds] == [
        ("unknown", HolderKind.UNNAMED)
    ]


def test_a_reason_of_ours_without_its_note_is_ours_still() -> None:
    seen = shown(state="IDLE+DRAIN", after=f"Reason=quarterdeck: dust (oncall, drain) {SIGNED}")
    assert [hold.kind for hold in node(seen).holds] == [HolderKind.OURS]
    assert seen_of(seen).foreign == ()


def test_our_hold_and_a_colleague_s_stand_side_by_side() -> None:
    note = Note(holds=(HELD,), saved=SavedReason("fan", "colleague"))
    assert [hold.by for hold in node(noted(note, reason="fan")).holds] == ["oncall", "colleague"]


def test_a_note_in_comment_counts_where_extra_has_none() -> None:
    text = split("rack 4").text(Note(holds=(HELD,)))
    seen = shown(state="IDLE+DRAIN", after=f"Reason=quarterdeck: x {SIGNED} Comment={text}")
    assert [hold.by for hold in node(seen).holds] == ["oncall"]


def test_a_maintenance_reservation_holds_a_node_but_not_against_a_change() -> None:
    seen = shown(state="IDLE+MAINT+RESERVED")
    assert [hold.by for hold in node(seen).holds] == ["reservation"]
    assert seen_of(seen).foreign == ()


# Conditions.


def test_a_site_s_own_health_check_is_known_by_how_its_reasons_begin() -> None:
    seen = shown(state="IDLE+DRAIN", after=f"Reason=site-check: fan 3 {SIGNED}")
    assert node(seen).bad_conditions == ()
    (condition,) = node(seen, reading=NodeReading(health_checks=("site-check:",))).bad_conditions
    assert (condition.type, condition.reason) == ("HealthCheck", "health check")
    assert "fan 3" in condition.message


def test_a_health_check_s_reason_is_a_bad_condition_until_the_node_boots_anew() -> None:
    after = f"Reason=NHC: gpu {SIGNED}"
    assert [each.type for each in node(shown(state="IDLE+DRAIN", after=after)).bad_conditions] == [
        "HealthCheck"
    ]
    later = shown(state="IDLE+DRAIN", after=after, boot="2026-03-01T02:45:00")
    assert node(later).bad_conditions == ()


def test_a_drain_that_slurm_ends_by_itself_says_when() -> None:
    text = line(state="IDLE+DRAIN", after="Reason=x [root@2026-03-01T02:30:00]")
    (drained,) = read_nodes(text.replace("CfgTRES=", "ResumeAfterTime=2026-03-01T04:00:00 CfgTRES="))
    (said,) = [each for each in node(drained).conditions if each.type == "ResumeAfter"]
    assert said.message == "Slurm opens it by itself at 2026-03-01T04:00:00+00:00"
    assert seen_of(drained).resumes is not None
    (never,) = read_nodes(text.replace("CfgTRES=", "ResumeAfterTime=None CfgTRES="))
    assert seen_of(never).resumes is None


def test_ready_is_dated_by_the_boot() -> None:
    (ready, *_) = node(shown()).conditions
    assert (ready.type, ready.bad, ready.since) == ("Ready", False, shown().booted)


@pytest.mark.parametrize(
    ("slurmd", "controller", "says", "unsupported"),
    [
        ("22.05.8", "22.05.11", "", False),
        ("22.05.8", "", "", False),
        ("", "22.05.8", "", False),
        ("23.02.1", "22.05.8", "ahead", True),
        ("21.08.8-2", "22.05.8", "is behind", False),
        ("20.11.0", "22.05.8", "is behind", False),
        ("20.02.0", "22.05.8", "too far", True),
        ("23.02.7", "24.11.0", "is behind", False),
        ("22.05.7", "24.11.0", "too far", True),
        ("24.05.0-0rc1", "slurm 25.11.2", "is behind", False),
    ],
)
def test_slurmd_and_controller_are_compared_by_release(
    slurmd: str, controller: str, says: str, unsupported: bool
) -> None:
    words, bad = differs(slurmd, controller)
    assert says in words
    assert bool(words) == bool(says)
    assert bad is unsupported


def test_a_slurmd_ahead_of_the_controller_is_a_bad_condition() -> None:
    assert [each.type for each in node(shown(version="23.11.4")).bad_conditions] == ["SlurmVersion"]


# GPUs.


def test_gpus_are_what_is_configured_until_the_controller_found_fewer() -> None:
    assert (node(shown()).gpus_capacity, node(shown()).gpus_allocatable) == (8, 8)
    after = f"Reason=gres/gpu count reported lower than configured (6 < 8) {SIGNED}"
    fewer = node(shown(state="IDLE+DRAIN+INVALID_REG", after=after))
    assert (fewer.gpus_capacity, fewer.gpus_allocatable, fewer.readiness) == (8, 6, Readiness.NOT_READY)


def test_mig_slices_count_apart() -> None:
    seen = node(shown(gres="gpu:h200:2(S:0-1),gpu:h200_3g.71gb:6(S:0-1)"))
    assert (seen.gpus_capacity, seen.mig_allocatable) == (2, 6)


def test_a_node_without_gpus_has_none() -> None:
    assert node(shown(gres="(null)")).gpus_capacity == 0


def test_the_version_changes_with_what_people_change_and_not_with_the_boot_s_waver() -> None:
    before = version_of(shown())
    assert version_of(shown(boot="2026-03-01T02:00:00")) == before
    changed = [shown(state="IDLE+DRAIN"), shown(after="Comment=x"), shown(features="image-v2")]
    assert before not in {version_of(each) for each in changed}


def test_a_reboot_that_is_no_reimage_of_ours_is_somebody_s_work_under_way() -> None:
    rebooting = "DOWN+DRAIN+REBOOT_ISSUED"
    assert node(shown(state=rebooting, after=f"Reason=kernel {SIGNED}")).upgrade == "reboot issued: kernel"
    assert node(noted(Note(holds=(HELD,), image="v2", gated=True), state=rebooting)).upgrade == ""


def test_hostile_texts_are_cleaned() -> None:
    seen = node(shown(name="gpu\x1b[31m1", features="image-\x1b]0;x\x07v1", version="\x1b[2J9"))
    texts = (seen.key.name, seen.image.running or "", seen.software.agent)
    assert not any("\x1b" in text for text in texts)
