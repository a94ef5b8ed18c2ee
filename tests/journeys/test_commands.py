"""The command line against a served fleet: what scripts rely on, to the exit code, and the truth read back each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.served import Served, quarterdeck, serve
from tests.servers import require

pytestmark = pytest.mark.xdist_group("commands")

NODE_KEYS = {
    "name",
    "source",
    "category",
    "image",
    "desired_image",
    "stage",
    "admission",
    "ready",
    "holder",
    "reason",
    "gpus",
    "workloads",
    "health",
    "accepted",
    "metrics",
    "conditions",
    "topology",
    "twin",
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("fleet"), "--speed", "100") as served:
        yield served


def test_nodes_as_json_have_the_promised_keys_and_unknown_is_null(fleet: Served) -> None:
    said = fleet.run("nodes", "--json")
    assert said.code == 0
    found = {node["name"]: node for node in said.json}
    assert len(found) == 60
    assert all(set(node) == NODE_KEYS for node in found.values())
    silent = next(node for node in found.values() if node["ready"] is None)
    assert silent["metrics"]["gpu_util"] is None
    assert {node["category"] for node in found.values()} == {"h100", "a100", "l40s"}
    assert len({node["image"] for node in found.values() if node["category"] == "h100"}) == 2


def test_a_selection_picks_and_a_wrong_one_shows_where_it_is_wrong(fleet: Served) -> None:
    picked = fleet.run("nodes", "category=h100", "stage=quarantined", "--json")
    assert [node["stage"] for node in picked.json] == ["quarantined"]
    wrong = fleet.run("nodes", "categry=h100")
    assert wrong.code == 2
    assert "^" in wrong.err
    assert "category" in wrong.err
    assert "categry=h100" in wrong.err.splitlines()


def test_a_wrong_key_in_the_settings_ends_every_command_that_reads_them(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[keys]\n"verb.cordn" = "c"\n')
    for command in (("nodes",), ("xid", "79"), ("audit",), ("doctor",)):
        said = quarterdeck("--config", str(config), *command)
        assert (said.code, "verb.cordon" in said.err) == (2, True)


def test_a_plan_is_free_or_blocked_by_its_exit_code(fleet: Served) -> None:
    free = fleet.run("plan", "cordon", "gpu-h100-005", "--json")
    assert free.code == 0
    assert {"hash", "steps", "blockers", "radius"} <= set(free.json)
    blocked = fleet.run("plan", "uncordon", "gpu-h100-004", "--json")
    assert blocked.code == 3
    assert "gate" in json.dumps(blocked.json["blockers"])
    assert fleet.run("plan", "cordon", "gpu-nowhere").code == 3


def test_one_blocked_node_is_left_out_by_name_and_the_hash_is_of_the_rest(fleet: Served) -> None:
    free = [node["name"] for node in fleet.run("nodes", "category=a100", "stage=in-service", "--json").json][
        :2
    ]
    (gated,) = [node["name"] for node in fleet.run("nodes", "stage=quarantined", "--json").json][:1]
    assert fleet.run("plan", "uncordon", *free, gated).code == 3
    skipped = fleet.run("plan", "uncordon", *free, gated, "--skip-blocked", "--json")
    assert skipped.code == 0
    assert f"left out {gated}: it is quarantined: only a gate opens it (gate it)" in skipped.err
    assert [left["node"] for left in skipped.json["left_out"]] == [gated]
    assert skipped.json["hash"] == fleet.run("plan", "uncordon", *free, "--json").json["hash"]
    reason = ("--reason", "done", "--yes", "--json")
    ran = fleet.run("run", "uncordon", *free, gated, "--skip-blocked", *reason)
    assert (ran.code, [left["node"] for left in ran.json["left_out"]]) == (0, [gated])
    assert fleet.run("run", "uncordon", gated, "--skip-blocked", *reason).code == 3
    assert fleet.run("run", "uncordon", *free, "no-such-node", "--skip-blocked", *reason).code == 2


def test_a_command_without_a_terminal_never_asks(fleet: Served) -> None:
    said = fleet.run("run", "cordon", "gpu-h100-005", "--reason", "test")
    assert said.code == 3
    assert "--yes" in said.err
    assert "unschedulable" not in fleet.node("gpu-h100-005")["spec"]


def test_what_was_not_confirmed_is_shown_as_json_all_the_same(fleet: Served) -> None:
    said = fleet.run("run", "reimage", "gpu-h100-025", "--reason", "test", "--yes", "--json")
    assert said.code == 3
    assert f"--plan {said.json['hash']}" in said.err


def test_a_negative_grace_period_leaves_each_pod_its_own_as_kubectls_does(fleet: Served) -> None:
    own = fleet.run("plan", "drain", "gpu-h100-005", "--json").json["hash"]
    assert fleet.run("plan", "drain", "gpu-h100-005", "--grace-period", "-1", "--json").json["hash"] == own
    assert fleet.run("plan", "drain", "gpu-h100-005", "--grace-period", "0", "--json").json["hash"] != own


def test_a_gate_without_telemetry_is_unknown_says_how_to_do_without_and_passes_so(
    fleet: Served, tmp_path: Path
) -> None:
    bare = ("--kubeconfig", fleet.kubeconfig)
    said = quarterdeck(*bare, "gate", "gpu-a100-005", "--check")
    assert said.code == 3
    assert 'needed = false under [category."a100".checks.telemetry]' in said.out
    config = tmp_path / "config.toml"
    config.write_text('[category."*".checks]\ntelemetry = { needed = false }\nxid = { needed = false }\n')
    assert quarterdeck(*bare, "--config", str(config), "gate", "gpu-a100-005", "--check").code == 0


def test_cordon_writes_who_and_why_and_uncordon_takes_it_back(fleet: Served) -> None:
    assert fleet.run("run", "cordon", "gpu-h100-006", "--reason", "fan noise", "--yes").code == 0
    closed = fleet.node("gpu-h100-006")
    assert closed["spec"]["unschedulable"] is True
    (hold,) = json.loads(closed["metadata"]["annotations"]["node.lab/held-by"])
    assert (hold["verb"], hold["reason"]) == ("cordon", "fan noise")
    assert fleet.run("run", "uncordon", "gpu-h100-006", "--reason", "done", "--yes").code == 0
    opened = fleet.node("gpu-h100-006")
    assert not opened["spec"].get("unschedulable")
    assert not json.loads(opened["metadata"]["annotations"].get("node.lab/held-by", "[]"))


def test_read_only_changes_nothing_whatever_is_asked(fleet: Served) -> None:
    before = fleet.node("gpu-h100-007")["metadata"]["resourceVersion"]
    for verb in ("cordon", "drain"):
        said = fleet.run("--read-only", "run", verb, "gpu-h100-007", "--reason", "test", "--yes")
        assert said.code == 3
        assert "read-only" in said.err
    assert fleet.node("gpu-h100-007")["metadata"]["resourceVersion"] == before


def test_a_reimage_wants_the_hash_of_the_plan_and_moves_the_node_to_its_image(fleet: Served) -> None:
    name = "gpu-h100-024"
    plan = fleet.run("plan", "reimage", name, "--json").json
    assert fleet.run("run", "reimage", name, "--reason", "v2", "--yes").code == 3
    assert fleet.run("run", "reimage", name, "--reason", "v2", "--yes", "--plan", "000000000000").code == 3
    before = fleet.node(name)
    done = fleet.run("run", "reimage", name, "--reason", "v2", "--yes", "--plan", plan["hash"], "--json")
    assert done.code == 0, done.err
    assert done.json["state"] == "done"
    after = fleet.node(name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["nodeInfo"]["bootID"] != before["status"]["nodeInfo"]["bootID"]
    labels = after["metadata"]["labels"]
    assert (labels["node.lab/image-version"], labels["node.lab/category"]) == ("v2", "h100")
    assert labels["node.lab/lifecycle"] == "in-service"
    assert not [taint for taint in after["spec"].get("taints", ()) if taint["key"] == "node.lab/health-gate"]


def test_a_drain_waits_for_the_budget_that_blocks_it_and_names_it(fleet: Served) -> None:
    name = "gpu-l40s-002"
    fleet.ask("POST", "/sim/faults", {"fault": "budget_blocks", "node": name})
    stuck = fleet.run(
        "run",
        "drain",
        name,
        "--reason",
        "test",
        "--yes",
        "--timeout",
        "35s",
        "--force",
        "--delete-emptydir-data",
    )
    assert stuck.code == 1
    assert "budget" in stuck.err
    closed = fleet.node(name)
    assert closed["spec"]["unschedulable"] is True
    assert json.loads(closed["metadata"]["annotations"]["node.lab/held-by"])
    fleet.ask("DELETE", f"/sim/faults?node={name}")
    done = fleet.run(
        "run",
        "drain",
        name,
        "--reason",
        "test",
        "--yes",
        "--timeout",
        "5m",
        "--force",
        "--delete-emptydir-data",
    )
    assert done.code == 0, done.err
    pods = fleet.get(f"/api/v1/pods?fieldSelector=spec.nodeName={name}")["items"]
    owners = {pod["metadata"]["ownerReferences"][0]["kind"] for pod in pods}
    assert owners == {"DaemonSet"}


def test_a_node_that_fails_its_gate_stays_closed_and_says_why(fleet: Served) -> None:
    said = fleet.run("gate", "gpu-h100-004", "--yes", "--json")
    assert said.code == 1
    findings = said.json["verdicts"]["gpu-h100-004"]["findings"]
    assert "FAIL" in {finding["verdict"] for finding in findings if finding["check"] == "xid"}
    taints = {taint["key"] for taint in fleet.node("gpu-h100-004")["spec"]["taints"]}
    assert "node.lab/health-gate" in taints


def test_a_check_without_telemetry_is_unknown_and_writes_nothing(fleet: Served) -> None:
    before = fleet.node("gpu-h100-008")["metadata"]["resourceVersion"]
    said = quarterdeck("--kubeconfig", fleet.kubeconfig, "gate", "gpu-h100-008", "--check")
    assert said.code == 3
    assert "gpu-h100-008: UNKNOWN" in said.out
    assert "telemetry UNKNOWN: no telemetry source is configured" in said.out
    assert "checked; nothing was written" in said.err
    assert fleet.node("gpu-h100-008")["metadata"]["resourceVersion"] == before


def test_a_retired_node_is_gone_from_the_cluster(fleet: Served) -> None:
    name = "gpu-l40s-010"
    flags = ("--force", "--delete-emptydir-data")
    plan = fleet.run("plan", "retire", name, *flags, "--json").json
    done = fleet.run(
        "run", "retire", name, "--reason", "end of lease", "--yes", "--plan", plan["hash"], *flags
    )
    assert done.code == 0, done.err
    assert fleet.node(name) is None


def test_a_provisioned_node_comes_gated_and_is_admitted_when_it_passes(fleet: Served) -> None:
    done = fleet.run("provision", "gpu-h100-099", "--category", "h100", "--image", "v2", "--yes")
    assert done.code == 0, done.err
    assert fleet.node("gpu-h100-099")["metadata"]["labels"]["node.lab/lifecycle"] == "in-service"
    again = fleet.run("provision", "gpu-h100-099", "--category", "h100", "--image", "v2", "--yes")
    assert again.code == 3


def test_the_audit_trail_says_who_did_what(fleet: Served) -> None:
    fleet.run("run", "cordon", "gpu-a100-001", "--reason", "audit me", "--yes")
    lines = fleet.run("audit", "--json").json
    mine = [line for line in lines if line["node"] == "gpu-a100-001"]
    assert {line["kind"] for line in mine} == {"intent", "outcome"}
    assert all("@" in line["by"] for line in mine)
    operation = fleet.run("operations", "--json").json[0]
    assert (operation["verb"], operation["state"]) == ("cordon", "done")


def test_doctor_finds_all_well(fleet: Served) -> None:
    said = fleet.run("doctor", "--json")
    answers = {answer["about"]: answer for answer in said.json}
    assert said.code == 0, said.out
    assert "exporter silent on" in answers["metrics join"]["says"]
    assert answers["metrics join"]["ok"] is None
    assert answers["metrics age"]["facts"]["nodes_too_old"] == 0
    assert answers["metrics checks"]["ok"] is True
    missing = {each["column"] for each in answers["metrics exported"]["facts"]["not_exported"]}
    assert "SM active" in missing
    assert "last XID" not in missing
    assert answers["simulated reach"]["ok"] is True
    assert answers["simulated permission"]["ok"] is True


def test_doctor_asks_no_series_of_a_node_without_gpus_and_names_who_never_passed_a_gate(
    fleet: Served,
) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "cpu-1", "labels": {"node.lab/category": "cpu"}},
        "status": {
            "capacity": {"cpu": "8"},
            "allocatable": {"cpu": "8"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }
    fleet.ask("POST", "/api/v1/nodes", node)
    try:
        answers = {answer["about"]: answer for answer in fleet.run("doctor", "--json").json}
        nodes = fleet.run("nodes", "--json").json
    finally:
        fleet.ask("DELETE", "/api/v1/nodes/cpu-1")
    silent = [
        node for node in nodes if node["metrics"]["gpus_seen"] is None and node["gpus"]["capacity"] != 0
    ]
    assert "cpu-1" in {node["name"] for node in nodes}
    assert f"exporter silent on {len(silent)} nodes" in answers["metrics join"]["says"]
    assert answers["nodes gate"]["ok"] is None
    assert "1 of cpu" in answers["nodes gate"]["says"]
    assert "registerWithTaints" in answers["nodes gate"]["mend"]


def test_what_is_done_on_a_simulated_fleet_is_in_no_other_journal(fleet: Served, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path)}
    done = fleet.run("run", "cordon", "gpu-a100-006", "--reason", "test", "--yes", **state)
    assert done.code == 0, done.err
    (named,) = fleet.run("operations", "--json", **state).json
    assert named["nodes"] == ["gpu-a100-006"]
    assert [path.name for path in (tmp_path / "quarterdeck").glob("*.db")] == ["journal-simulated.db"]


def test_another_kubeconfig_is_not_searched_for_the_contexts_of_the_settings(
    fleet: Served, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[kubernetes]\ncontexts = ["prod"]\n')
    assert fleet.run("--config", str(config), "nodes", "gpu-a100-006").code == 0


def test_kubectl_shows_what_a_verb_did(fleet: Served) -> None:
    require("kubectl")
    assert fleet.run("run", "cordon", "gpu-a100-002", "--reason", "kubectl sees it", "--yes").code == 0
    assert "SchedulingDisabled" in fleet.kubectl("get", "node", "gpu-a100-002")
    assert "kubectl sees it" in fleet.kubectl("describe", "node", "gpu-a100-002")


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (("--context", "nowhere", "nodes"), 2, "nowhere"),
        (("--config", "/does/not/exist.toml", "nodes"), 2, "/does/not/exist.toml"),
        (("nodes", "--no-such-flag"), 2, "--no-such-flag"),
        (("run", "explode", "gpu-1", "--reason", "x"), 2, "explode"),
        (("run", "drain", "gpu-a100-004", "--reason", "x", "--timeout", "soon"), 2, "soon"),
    ],
)
def test_wrong_usage_is_exit_2_naming_it(fleet: Served, flags: tuple[str, ...], code: int, says: str) -> None:
    said = fleet.run(*flags)
    assert said.code == code
    assert says in said.err


def test_a_broken_settings_file_is_exit_2_naming_file_and_key(fleet: Served, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[category.h100]\nexpcted_gpus = 8\n")
    said = fleet.run("--config", str(config), "nodes")
    assert said.code == 2
    assert f"{config}: category.h100.expcted_gpus" in said.err


def test_a_cluster_that_can_not_be_reached_is_exit_4_and_no_list(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "gone",
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
        "clusters": [{"name": "gone", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "gone", "user": {"token": "a-secret-token"}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    for command in (("nodes", "--json"), ("plan", "cordon", "gpu-1"), ("doctor", "--json")):
        said = quarterdeck("--kubeconfig", str(kubeconfig), *command)
        assert said.code == 4, said
        assert "127.0.0.1:9" in said.err + said.out
        assert "a-secret-token" not in said.err + said.out
    assert quarterdeck("--kubeconfig", str(kubeconfig), "nodes", "--json").out == ""


def test_no_cluster_at_all_is_exit_2_that_says_how_to_name_one() -> None:
    said = quarterdeck("nodes")
    assert said.code == 2
    assert "--kubeconfig" in said.err


def test_the_simulator_never_overwrites_a_kubeconfig_it_did_not_write(tmp_path: Path) -> None:
    theirs = tmp_path / "kubeconfig"
    theirs.write_text("apiVersion: v1\n")
    said = quarterdeck("sim", "--kubeconfig", str(theirs))
    assert said.code == 2
    assert str(theirs) in said.err
    assert theirs.read_text() == "apiVersion: v1\n"


def test_an_xid_is_explained() -> None:
    said = quarterdeck("xid", "79", "--json")
    assert said.code == 0
    assert said.json["keeps_gate_closed"] is True


def test_a_nodes_timeline_tells_what_was_done_to_it_and_survives_as_markdown(fleet: Served) -> None:
    reason = "fan | swap `4711` <b>"
    assert fleet.run("run", "cordon", "gpu-h100-012", "--reason", reason, "--yes").code == 0
    told = fleet.run("timeline", "gpu-h100-012", "--json")
    assert told.code == 0
    says = [entry["says"] for entry in told.json["entries"]]
    assert any(line.startswith(f"cordon began: {reason} (plan ") for line in says)
    assert "cordon ended: done" in says
    note = fleet.run("timeline", "gpu-h100-012", "--markdown", "--since", "1h").out
    rows = [line for line in note.splitlines() if line.startswith("| 20")]
    assert any(r"fan \| swap \`4711\` &lt;b&gt;" in row for row in rows)
    assert {len(row.replace(r"\|", "").split("|")) for row in rows} == {8}
    assert "times in UTC" in note
    fleet.run("run", "uncordon", "gpu-h100-012", "--reason", "test", "--yes")


def test_a_timeline_of_a_node_that_nobody_has_says_so_and_names_the_nearest(fleet: Served) -> None:
    mistyped = fleet.run("timeline", "gpu-h10-012")
    assert (mistyped.code, mistyped.out) == (2, "")
    assert "there is no node gpu-h10-012, and nothing is remembered of one" in mistyped.err
    assert "did you mean gpu-h100-012" in mistyped.err
    assert "only what is remembered of it" not in mistyped.err
    nobody = fleet.run("timeline", "elsewhere", "--json")
    assert (nobody.code, nobody.out) == (2, "")
    assert "did you mean" not in nobody.err
    assert "quarterdeck nodes" in nobody.err


def test_drift_names_the_odd_nodes_and_ends_as_diff_does(fleet: Served) -> None:
    found = fleet.run("drift", "--json")
    assert found.code == 1
    categories = {each["category"]: each for each in found.json["categories"]}
    image = next(each for each in categories["h100"]["aspects"] if each["aspect"] == "image")
    (odd,) = (value for value in image["values"] if value["odd"])
    old = {
        node["name"] for node in fleet.run("nodes", "category=h100", "--json").json if node["image"] == "v1"
    }
    assert (image["declared"], odd["value"], odd["count"]) == (True, "v1", len(old))
    assert set(odd["nodes"]) == old != set()
    assert found.json["odd_nodes"] == len(old)
    assert "NIC firmware" in found.json["untold"]
    even = fleet.run("drift", "category=l40s")
    assert (even.code, "0 nodes odd" in even.err) == (0, True)
    assert fleet.run("drift", "categry=x").code == 2
