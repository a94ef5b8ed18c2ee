"""Work on the simulated fleet: it is scheduled by the rules, comes back when taken away, and budgets follow it."""

from __future__ import annotations

from backends.simulated.objects import DEPLOYMENTS, EVENTS, JOBS, PDBS, PODS, REPLICASETS, Json
from tests.unit.simulated.worlds import Bench, kind_of_owner, status_of

EMPTY = "gpu-h100-019"  # drained in the story
BUSY = "gpu-l40s-001"


def _condition(pod: Json, kind: str) -> Json:
    found: Json = next(each for each in pod["status"]["conditions"] if each["type"] == kind)
    return found


def test_a_posted_deployment_gets_a_replica_set_and_running_pods() -> None:
    bench = Bench()
    bench.deploy("web", 3, nodeSelector={"node.lab/category": "l40s"})
    bench.after(10)
    pods = bench.pods_of("web")
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
    assert {pod["spec"]["nodeName"].split("-")[1] for pod in pods} == {"l40s"}
    assert {kind_of_owner(pod) for pod in pods} == {"ReplicaSet"}
    bench.after(2)
    deployment = bench.store.get(DEPLOYMENTS, "web", "default")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 3


def test_a_deleted_replica_comes_back_elsewhere_because_its_node_is_cordoned() -> None:
    bench = Bench()
    victim = bench.pods_of("chat-l40s")[0]
    node, count = victim["spec"]["nodeName"], len(bench.pods_of("chat-l40s"))
    bench.change_node(node, unschedulable=True)
    bench.mark_deleted(victim)
    bench.after(60)
    assert bench.pod(victim["metadata"]["name"], victim["metadata"]["namespace"]) is None
    pods = bench.pods_of("chat-l40s")
    assert len(pods) == count
    fresh = [pod for pod in pods if pod["metadata"]["creationTimestamp"] >= "2026-03-01T03:00:00Z"]
    assert [pod["spec"]["nodeName"] for pod in fresh] != [node]
    assert [pod["status"]["phase"] for pod in fresh] == ["Running"]


def test_a_pod_is_terminating_for_its_grace_and_then_gone() -> None:
    bench = Bench()
    victim = bench.pods_of("pretrain-70b")[0]
    bench.mark_deleted(victim, grace=30)
    name, namespace = victim["metadata"]["name"], victim["metadata"]["namespace"]
    bench.after(1)
    assert bench.pod(name, namespace) is not None
    bench.after(30)
    assert bench.pod(name, namespace) is None


def test_a_pod_that_a_finalizer_keeps_has_ended_and_stays_until_it_is_taken_off() -> None:
    bench = Bench()
    victim = bench.pods_of("pretrain-70b")[0]
    name, namespace = victim["metadata"]["name"], victim["metadata"]["namespace"]
    bench.store.update(
        PODS, name, lambda pod: pod["metadata"].update(finalizers=["example.com/keeps-it"]), namespace
    )
    bench.mark_deleted(victim, grace=30)
    bench.after(60)
    kept = bench.pod(name, namespace)
    assert kept is not None
    assert kept["status"]["phase"] == "Succeeded"
    assert kept["metadata"]["deletionGracePeriodSeconds"] == 0


def test_a_gang_member_that_is_taken_away_is_replaced_at_once_with_its_index() -> None:
    bench = Bench()
    victim = bench.pods_of("pretrain-70b")[0]
    index = victim["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
    bench.mark_deleted(victim)
    bench.after(60)
    indexes = [
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
        for pod in bench.pods_of("pretrain-70b")
    ]
    assert len(indexes) == 8
    assert indexes.count(index) == 1


def test_the_gate_taint_and_a_cordon_keep_work_out_and_a_toleration_lets_it_in() -> None:
    bench = Bench()
    place: Json = {"nodeSelector": {"kubernetes.io/hostname": "gpu-l40s-005"}}
    bench.deploy("plain", 1, **place)
    bench.deploy("gated", 1, tolerations=[{"key": "node.lab/health-gate", "operator": "Exists"}], **place)
    bench.after(10)
    assert [pod["status"]["phase"] for pod in bench.pods_of("gated")] == ["Running"]
    assert [pod["status"]["phase"] for pod in bench.pods_of("plain")] == ["Pending"]


def test_a_pod_that_fits_nowhere_says_why_as_the_scheduler_does() -> None:
    bench = Bench()
    bench.deploy("huge", 1, gpus=16)
    bench.after(5)
    (pod,) = bench.pods_of("huge")
    why = _condition(pod, "PodScheduled")
    assert (why["status"], why["reason"]) == ("False", "Unschedulable")
    assert why["message"].startswith("0/60 nodes are available: 1 node(s) had untolerated taint {")
    assert "3 node(s) were unschedulable" in why["message"]
    assert "54 Insufficient nvidia.com/gpu" in why["message"]
    assert "preemption: 0/60 nodes are available: " in why["message"]
    reasons = {event["reason"] for event in bench.store.list(EVENTS, "default")}
    assert "FailedScheduling" in reasons


def test_a_waiting_pod_is_placed_when_its_node_opens() -> None:
    bench = Bench()
    bench.deploy("next", 1, gpus=8, nodeSelector={"kubernetes.io/hostname": EMPTY})
    bench.after(5)
    assert bench.pods_of("next")[0]["status"]["phase"] == "Pending"
    bench.change_node(EMPTY, unschedulable=False)
    bench.after(10)
    assert bench.pods_of("next")[0]["status"]["phase"] == "Running"


def test_node_affinity_chooses_the_node() -> None:
    bench = Bench()
    rule = {"key": "node.lab/category", "operator": "In", "values": ["a100"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    bench.deploy("picky", 4, affinity=affinity)
    bench.after(10)
    assert {pod["spec"]["nodeName"][:8] for pod in bench.pods_of("picky")} == {"gpu-a100"}


def test_gpus_are_never_given_out_twice() -> None:
    bench = Bench()
    free = sum(holder is None for machine in bench.world.hall for holder in machine.holders)
    bench.deploy("greedy", free + 50, gpus=1, tolerations=[{"operator": "Exists"}])
    bench.after(30)
    phases = [pod["status"]["phase"] for pod in bench.pods_of("greedy")]
    assert phases.count("Pending") >= 50
    for machine in bench.world.hall:
        running = [holder for holder in machine.holders if holder is not None]
        assert len(running) <= machine.category.gpus


def test_scaling_a_deployment_down_removes_pods_and_deleting_it_removes_all() -> None:
    bench = Bench()
    bench.deploy("web", 4)
    bench.after(10)
    bench.store.update(DEPLOYMENTS, "web", lambda each: each["spec"].update(replicas=1), "default")
    bench.after(60)
    assert len(bench.pods_of("web")) == 1
    bench.store.delete(DEPLOYMENTS, "web", "default")
    bench.after(60)
    assert bench.pods_of("web") == []
    assert bench.store.list(REPLICASETS, "default") == []


def test_a_job_that_ends_is_complete_and_starts_nothing_more() -> None:
    bench = Bench()
    bench.start_job("burn-in", 2, seconds=20)
    bench.after(10)
    assert [pod["status"]["phase"] for pod in bench.pods_of("burn-in")] == ["Running"] * 2
    bench.after(60)
    job = bench.store.get(JOBS, "burn-in", "default")
    assert job is not None
    assert [each["type"] for each in job["status"]["conditions"]] == ["Complete"]
    assert [pod["status"]["phase"] for pod in bench.pods_of("burn-in")] == ["Succeeded"] * 2


def test_a_daemon_s_pod_comes_back_on_the_same_cordoned_node() -> None:
    bench = Bench()
    bench.change_node(BUSY, unschedulable=True)
    victim = next(pod for pod in bench.store.pods_on(BUSY) if kind_of_owner(pod) == "DaemonSet")
    bench.mark_deleted(victim)
    bench.after(30)
    app = victim["metadata"]["labels"]["app"]
    (fresh,) = [pod for pod in bench.store.pods_on(BUSY) if pod["metadata"]["labels"]["app"] == app]
    assert fresh["metadata"]["name"] != victim["metadata"]["name"]
    assert fresh["status"]["phase"] == "Running"


def test_the_gate_taint_keeps_a_daemon_out_that_does_not_tolerate_it() -> None:
    bench = Bench()
    bench.daemon("cache")
    bench.after(10)
    on = {pod["spec"]["nodeName"] for pod in bench.pods_of("cache")}
    assert "gpu-l40s-005" not in on
    assert "gpu-h100-004" not in on
    assert len(on) == 58


def test_a_budget_is_processed_after_a_moment_and_then_follows_its_pods() -> None:
    bench = Bench()
    bench.deploy("api", 3)
    bench.after(10)
    bench.guard("api", minAvailable=2)
    assert "observedGeneration" not in _budget(bench).get("status", {})
    bench.after(1)
    assert bench.allowed("api") == 1
    bench.mark_deleted(bench.pods_of("api")[0])
    assert bench.allowed("api") == 0
    bench.after(60)
    assert bench.allowed("api") == 1


def _budget(bench: Bench) -> Json:
    found = bench.store.get(PDBS, "api", "default")
    assert found is not None
    return found


def test_a_budget_in_percent_counts_what_its_owner_wants() -> None:
    bench = Bench()
    bench.deploy("api", 4)
    bench.guard("api", maxUnavailable="50%")
    bench.after(10)
    assert bench.allowed("api") == 2
    assert _budget(bench)["status"]["expectedPods"] == 4


def test_more_replicas_open_the_budget_that_blocked() -> None:
    bench = Bench()
    assert bench.allowed("embeddings-pdb", "search") == 0
    bench.store.update(DEPLOYMENTS, "embeddings", lambda each: each["spec"].update(replicas=3), "search")
    bench.after(20)
    assert bench.allowed("embeddings-pdb", "search") == 1


def test_pods_of_a_silent_node_are_given_up_after_five_minutes_and_never_end() -> None:
    bench = Bench()
    (victim,) = bench.pods_on("gpu-a100-003")
    bench.after(400)
    left = bench.pod(victim["metadata"]["name"], victim["metadata"]["namespace"])
    assert left is not None
    assert "deletionTimestamp" in left["metadata"]
    bench.after(3600)
    assert bench.pod(victim["metadata"]["name"], victim["metadata"]["namespace"]) is not None
    index = victim["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
    again = [
        pod
        for pod in bench.pods_of(victim["metadata"]["labels"]["app"])
        if pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == index
    ]
    assert {status_of(pod) for pod in again} == {"True", "False"}
