"""Machines of two sources as an operator meets them: a real slurmctld and a simulated Kubernetes, joined by a rule.

The command line runs in processes of its own; what each orchestrator then says is asked of it by its own tools.
"""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backends.slurm.check_reservations import PREFIX
from tests.journeys.served import Said, Served, quarterdeck, serve
from tests.journeys.test_slurm import until_told
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-beside")]

CONFIG = r"""
[slurm]
use = true

[[join]]
kubernetes = "simulated"
slurm = "{cluster}"
by = "pattern"
pattern = 'gpu-h100-0*(\d+)'
template = 'gpu\1'

[category."*".checks.telemetry]
needed = false
[category."*".checks.xid]
needed = false
[category."*".checks.row-remap]
needed = false
[category."*".checks.temperature]
needed = false
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Both orchestrators, and a desk that has them as one fleet. Machine N is `gpuN` and `gpu-h100-00N`."""

    lab: SlurmLab
    simulation: Served
    config: Path

    def run(self, *arguments: str, **environment: str) -> Said:
        return quarterdeck(
            *self.flags, *arguments, **{**self.lab.environ, "HOME": os.environ["HOME"], **environment}
        )

    def does(self, *arguments: str) -> Said:
        """A command that must end well."""
        said = self.run(*arguments)
        assert said.code == 0, f"{arguments}: {said.out}{said.err}"
        return said

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tui.cli", *self.flags, *arguments],
            env={**os.environ, **self.lab.environ, "HOME": os.environ["HOME"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--config", str(self.config), "--kubeconfig", self.simulation.kubeconfig)

    def node(self, number: int) -> Any:
        """The machine as `nodes --json` tells it."""
        (found,) = self.run("nodes", f"name=gpu{number}", "--json").json
        return found

    def unschedulable(self, number: int) -> bool:
        """What Kubernetes itself says."""
        return bool(self.simulation.node(f"gpu-h100-{number:03}")["spec"].get("unschedulable"))

    def drained(self, number: int) -> bool:
        """What Slurm itself says."""
        return "DRAIN" in self.lab.states(f"gpu{number}")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SlurmLab, Served]]:
    folder = tmp_path_factory.mktemp("joined")
    patient = slurm_lab(folder, 8, health_interval=300)
    with patient as lab, serve(folder, "--nodes", "12", "--seed", "3", "--speed", "20") as sim:
        yield lab, sim


@pytest.fixture
def site(both: tuple[SlurmLab, Served], tmp_path: Path) -> Site:
    lab, simulation = both
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.replace("{cluster}", lab.cluster))
    return Site(lab, simulation, config)


def without_kubernetes(site: Site, folder: Path) -> Site:
    """The site with nobody where its Kubernetes was."""
    nobody, away = "http://127.0.0.1:9", folder / "away"
    away.write_text(Path(site.simulation.kubeconfig).read_text().replace(site.simulation.kubernetes, nobody))
    return Site(site.lab, Served(nobody, "", str(away)), site.config)


def test_a_machine_is_listed_once_and_tells_its_twin(site: Site) -> None:
    listed = site.run("nodes", "--json").json
    names = [node["name"] for node in listed]
    assert len(names) == len(set(names)) == 13, "twelve of Kubernetes, seven of them Slurm's too, and gpu8"
    assert "gpu8" in names
    found = site.node(3)
    assert (found["name"], found["source"]) == ("gpu-h100-003", "simulated")
    assert (found["twin"]["name"], found["twin"]["source"]) == ("gpu3", site.lab.cluster)
    assert found["twin"]["disagrees"] is False


def test_a_drain_closes_both_and_an_uncordon_opens_both(site: Site) -> None:
    planned = site.run("plan", "drain", "gpu3", "--json").json
    assert [(step["source"], step["id"].rsplit("-", 1)[-1]) for step in planned["steps"]] == [
        (site.lab.cluster, "close"),
        ("simulated", "close"),
        (site.lab.cluster, "movework"),
        (site.lab.cluster, "mark"),
        ("simulated", "movework"),
        ("simulated", "mark"),
    ]
    assert {each["source"] for each in planned["sources"]} == {site.lab.cluster, "simulated"}
    done = site.run("run", "drain", "gpu3", "--reason", "fan noise", "--yes", "--plan", planned["hash"])
    assert done.code == 0, done.err
    assert site.drained(3)
    assert site.unschedulable(3)
    found = site.node(3)
    assert (found["stage"], found["twin"]["stage"], found["twin"]["disagrees"]) == (
        "drained",
        "drained",
        False,
    )
    told = site.run("run", "uncordon", "gpu-h100-003", "--reason", "quiet", "--yes").err
    assert told.index("Kubernetes simulated: open") < told.index(f"Slurm {site.lab.cluster}: open")
    assert not site.unschedulable(3)
    site.lab.until(lambda: not site.drained(3), "Slurm has it back")


def test_a_gate_lifts_no_cordon_of_either_side_and_says_whose_it_is(site: Site) -> None:
    site.does("run", "cordon", "gpu4", "--reason", "look", "--yes")
    said = site.run("gate", "gpu4", "--yes", "--json")
    assert said.code == 0, said.err
    assert said.json["verdicts"]["gpu-h100-004"]["verdict"] in ("PASS", "WARN")
    assert "still closed: held by" in said.json["says"]
    assert site.drained(4)
    assert site.unschedulable(4)
    site.does("run", "uncordon", "gpu4", "--reason", "seen", "--yes")


def test_while_the_sides_disagree_a_drain_is_refused_and_a_cordon_ends_it(site: Site) -> None:
    site.lab.update("gpu5", "State=DRAIN", "Reason=psu swap")
    refused = site.run("run", "drain", "gpu5", "--reason", "dust", "--yes")
    assert refused.code == 3
    truths = f"its two sides disagree: Slurm {site.lab.cluster}: IDLE+DRAIN by root: psu swap; Kubernetes simulated: open"
    assert truths.replace("by root", f"by {getpass.getuser()}") in refused.out
    assert "cordon it to close both sides" in refused.out
    assert not site.unschedulable(5)
    assert site.node(5)["twin"]["disagrees"] is True
    site.does("run", "cordon", "gpu5", "--reason", "for the psu", "--yes")
    assert site.unschedulable(5)
    assert "psu swap" in site.lab.line("gpu5"), "a colleague's Reason stays"
    held = site.run("plan", "uncordon", "gpu5")
    assert held.code == 3
    assert "psu swap" in held.out
    taken = site.run("run", "uncordon", "gpu5", "--reason", "done", "--take-over", getpass.getuser(), "--yes")
    assert taken.code == 0, taken.err
    assert not site.unschedulable(5)
    site.lab.until(lambda: not site.drained(5), "Slurm has it back")


def test_killed_between_the_sides_it_is_resumed_without_repetition(site: Site) -> None:
    job = site.lab.submit("gpu6")
    site.lab.until(lambda: site.lab.job_state(job) == "RUNNING", "the job runs")
    with site.start("run", "drain", "gpu6", "--reason", "dust", "--yes") as draining:
        until_told(draining, "to end in its own time")
        draining.send_signal(signal.SIGKILL)
        draining.communicate(timeout=60)
    assert site.drained(6)
    assert site.unschedulable(6), "both are closed before any work is moved"
    (left,) = [each for each in site.run("operations", "--json").json if each["state"] == "interrupted"]
    site.lab.cancel(job)
    resumed = site.run("resume", left["operation"], "--yes")
    assert resumed.code == 0, resumed.err
    done = [
        record["step"]
        for record in site.run("audit", "--json").json
        if record["operation"] == left["operation"] and record["kind"] == "outcome"
    ]
    assert sorted(done) == sorted(set(done)), "no step has two outcomes"
    assert len(done) == 6
    site.does("run", "uncordon", "gpu6", "--reason", "done", "--yes")


def test_a_cancelled_drain_opens_both_again(site: Site) -> None:
    job = site.lab.submit("gpu7")
    site.lab.until(lambda: site.lab.job_state(job) == "RUNNING", "the job runs")
    with site.start("run", "drain", "gpu7", "--reason", "dust", "--yes") as draining:
        until_told(draining, "to end in its own time")
        draining.send_signal(signal.SIGINT)
        draining.communicate(timeout=60)
    assert not site.unschedulable(7)
    site.lab.until(lambda: not site.drained(7), "Slurm has it back")
    assert site.lab.job_state(job) == "RUNNING"
    site.lab.cancel(job)


CHECK = """
[category."*".checks.site.links]
needed = true
command = ["{folder}/links"]
"""
LINKS = "#!/bin/sh\n[ ! -s FOLDER/slow ] || sleep 300\necho all links up\n"


def test_a_check_runs_in_slurm_and_cancelled_leaves_both_closed_with_nothing_of_it(
    site: Site, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    links = tmp_path / "links"
    links.write_text(LINKS.replace("FOLDER", str(tmp_path)))
    links.chmod(0o755)
    (tmp_path / "slow").write_text("yes")
    site.config.write_text(site.config.read_text() + CHECK.replace("{folder}", str(tmp_path)))
    site.does("run", "drain", "gpu3", "--reason", "dust", "--yes")
    with site.start("gate", "gpu3", "--yes") as gating:
        site.lab.until(lambda: "ALLOCATED" in site.lab.states("gpu3"), "the check runs")
        waiting = site.lab.submit("gpu3")
        assert site.unschedulable(3)
        gating.send_signal(signal.SIGINT)
        _, said = gating.communicate(timeout=60)
    assert "cancelled" in said
    assert site.drained(3)
    assert site.unschedulable(3)
    assert PREFIX not in site.lab.scontrol("show", "reservation", "-o")
    assert site.lab.job_state(waiting) == "PENDING"
    (tmp_path / "slow").write_text("")
    passed = site.run("gate", "gpu-h100-003", "--yes", "--json")
    assert passed.code == 0, passed.err
    assert "all links up" in json.dumps(passed.json["verdicts"]["gpu-h100-003"])
    assert PREFIX not in site.lab.scontrol("show", "reservation", "-o")
    assert site.lab.job_state(waiting) == "PENDING"
    site.lab.cancel(waiting)
    site.does("run", "uncordon", "gpu3", "--reason", "dusted", "--yes")
    assert not site.unschedulable(3)
    site.lab.until(lambda: not site.drained(3), "Slurm has it back")


def test_without_kubernetes_a_machine_of_slurm_is_not_worked_on_alone(site: Site, tmp_path: Path) -> None:
    elsewhere = without_kubernetes(site, tmp_path)
    listed = elsewhere.run("nodes", "--json")
    assert listed.code == 0, listed.err
    assert {node["source"] for node in listed.json} == {site.lab.cluster}
    assert "this is a part of the fleet: the nodes of simulated are not known" in listed.err
    refused = elsewhere.run("run", "cordon", "gpu1", "--reason", "dust", "--yes")
    assert refused.code == 3
    assert "simulated/nodes is unreachable" in refused.out
    assert not site.drained(1)


def test_without_its_controller_at_the_start_the_rest_of_the_fleet_goes_on(site: Site) -> None:
    site.lab.stop_controller()
    try:
        listed = site.run("nodes", "--json")
        assert listed.code == 0, listed.err
        assert {node["source"] for node in listed.json} == {"simulated"}
        assert f"the nodes of {site.lab.cluster} are not known" in listed.err
        assert "Unable to contact slurm controller" in listed.err
        refused = site.run("run", "cordon", "gpu-h100-003", "--reason", "dust", "--yes")
        assert refused.code == 3
        assert f"{site.lab.cluster}/nodes is unreachable" in refused.out
        assert not site.unschedulable(3)
        lonely = site.run("run", "cordon", "gpu-l40s-001", "--reason", "dust", "--yes")
        assert lonely.code == 3, "nobody can tell whether it is a machine of Slurm's too"
    finally:
        site.lab.start_controller()
        site.lab.node_is("gpu3", "IDLE")


def test_where_no_source_answers_it_is_exit_4(site: Site, tmp_path: Path) -> None:
    elsewhere = without_kubernetes(site, tmp_path)
    site.lab.stop_controller()
    try:
        assert elsewhere.run("nodes").code == 4
        assert elsewhere.run("plan", "cordon", "gpu1").code == 4
    finally:
        site.lab.start_controller()
        site.lab.node_is("gpu1", "IDLE")
