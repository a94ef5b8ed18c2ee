"""Slurm as an operator meets it on a login node: the command line in processes of its own, on a real slurmctld."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journeys.served import Said, quarterdeck
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-beside")]

CONFIG = """
[category.train]
imager = "slurm_reboot"
desired_image = "v2"
expected_gpus = 8
settle_deadline = "20s"
[category.train.checks.telemetry]
needed = false
[category.train.checks.xid]
needed = false
[category.train.checks.row-remap]
needed = false
[category.train.checks.temperature]
needed = false
[category.train.checks.driver]
needed = false
"""


@dataclass(frozen=True, slots=True)
class Login:
    """A login node of the cluster, where the commands are run."""

    lab: SlurmLab
    config: Path

    def run(self, *arguments: str, **environment: str) -> Said:
        return quarterdeck(*self.flags, *arguments, **{**self.lab.environ, **self.own, **environment})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on; what it tells is on its stderr."""
        return subprocess.Popen(
            [sys.executable, "-m", "tui.cli", *self.flags, *arguments],
            env={**os.environ, **self.lab.environ, **self.own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--slurm", "--config", str(self.config))

    @property
    def own(self) -> dict[str, str]:
        """The test's own home, which the lab's environment must not replace."""
        return {"HOME": os.environ["HOME"]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 8) as lab:
        yield lab


@pytest.fixture
def login(cluster: SlurmLab, tmp_path: Path) -> Login:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    return Login(cluster, config)


def until_told(process: subprocess.Popen[str], words: str) -> None:
    """Read what a command tells until it says `words`."""
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}: {''.join(told)}")


def test_the_nodes_of_the_cluster_are_listed_under_its_name(login: Login) -> None:
    listed = login.run("nodes", "--json").json
    assert [node["name"] for node in listed] == [f"gpu{number}" for number in range(1, 9)]
    assert {(node["source"], node["category"]) for node in listed} == {(login.lab.cluster, "train")}
    assert listed[7]["gpus"] == {"capacity": 8, "allocatable": 8, "used": 0}


def test_a_cordon_and_its_end(login: Login) -> None:
    assert login.run("run", "cordon", "gpu1", "--reason", "fan noise", "--yes").code == 0
    (shown,) = login.run("nodes", "name=gpu1", "--json").json
    assert (shown["admission"], shown["reason"]) == ("cordoned", "fan noise")
    assert login.run("run", "uncordon", "gpu1", "--reason", "quiet", "--yes").code == 0
    login.lab.node_is("gpu1", "IDLE", without=("DRAIN",))


def test_a_reimage_is_planned_run_gated_and_only_then_open(login: Login) -> None:
    login.lab.next_image("gpu2", "v2")
    plan = login.run("plan", "reimage", "gpu2", "--json")
    assert plan.code == 0, plan.out
    done = login.run("run", "reimage", "gpu2", "--reason", "patch", "--yes", "--plan", plan.json["hash"])
    assert done.code == 0, done.err
    assert login.lab.booted("gpu2") == "v2"
    login.lab.node_is("gpu2", "IDLE", without=("DRAIN",))
    (shown,) = login.run("nodes", "name=gpu2", "--json").json
    assert (shown["image"], shown["admission"], shown["stage"]) == ("v2", "open", "in-service")


def test_a_health_checks_verdict_fails_the_gate_of_a_closed_node(login: Login) -> None:
    login.lab.make_sick("gpu3", "gpu lost")
    login.lab.node_is("gpu3", "DRAIN")
    said = login.run("gate", "gpu3", "--yes", "--json")
    assert said.code == 1, said.err
    findings = json.dumps(said.json["verdicts"]["gpu3"])
    assert "NHC" in findings
    login.lab.make_well("gpu3")


def test_a_name_that_is_not_there_is_wrong_usage_and_changes_nothing(login: Login) -> None:
    said = login.run("run", "cordon", "gpu4", "nosuch", "--reason", "dust", "--yes")
    assert said.code == 2
    assert "there is no node nosuch" in said.out
    assert "nothing was changed" in said.err
    assert login.lab.states("gpu4") == {"IDLE"}


def test_no_scontrol_is_said_with_the_command(login: Login, tmp_path: Path) -> None:
    said = login.run("nodes", PATH=str(tmp_path))
    assert said.code == 4
    assert "no scontrol on the PATH" in said.err


def test_no_permission_is_said_with_node_and_command_and_changes_nothing(
    login: Login, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody without privilege")
    for folder in (login.lab.folder, login.lab.folder / "munge"):
        folder.chmod(0o755)
    wrapper = tmp_path / "bin" / "scontrol"
    wrapper.parent.mkdir()
    real = shutil.which("scontrol", path=login.lab.environ["PATH"])
    wrapper.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {real} "$@"\n')
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{login.lab.environ['PATH']}"
    said = login.run("run", "cordon", "gpu5", "--reason", "dust", "--yes", PATH=path)
    assert said.code == 4, said.err
    assert "gpu5" in said.err
    assert "Invalid user id" in said.err
    assert login.lab.states("gpu5") == {"IDLE"}


def test_doctor_says_versions_reboot_program_and_where_images_are_from(login: Login) -> None:
    said = login.run("doctor")
    assert "RebootProgram: " in said.out
    assert f"{login.lab.cluster} version: slurmctld 2" in said.out
    assert "nodes image from: feature on 8" in said.out
    assert "every verb but provision" in said.out


def test_an_interrupted_drain_puts_back_what_it_found(login: Login) -> None:
    job = login.lab.submit("gpu6")
    login.lab.until(lambda: login.lab.job_state(job) == "RUNNING", "the job runs")
    with login.start("run", "drain", "gpu6", "--reason", "dust", "--yes") as draining:
        until_told(draining, "to end in its own time")
        draining.send_signal(signal.SIGINT)
        draining.communicate(timeout=60)
    login.lab.until(lambda: "DRAIN" not in login.lab.states("gpu6"), "it is open again")
    assert login.lab.job_state(job) == "RUNNING"
    login.lab.cancel(job)


def test_a_drain_that_was_killed_is_resumed_to_its_end(login: Login) -> None:
    job = login.lab.submit("gpu7")
    login.lab.until(lambda: login.lab.job_state(job) == "RUNNING", "the job runs")
    with login.start("run", "drain", "gpu7", "--reason", "dust", "--yes") as draining:
        until_told(draining, "to end in its own time")
        draining.kill()
        draining.communicate(timeout=60)
    (left,) = [each for each in login.run("operations", "--json").json if each["state"] == "interrupted"]
    login.lab.cancel(job)
    assert login.run("resume", left["operation"], "--yes").code == 0
    (shown,) = login.run("nodes", "name=gpu7", "--json").json
    assert (shown["stage"], shown["holder"] is not None) == ("drained", True)


def test_a_second_operator_is_told_who_is_at_the_node_and_a_killed_ones_lock_is_found(login: Login) -> None:
    job = login.lab.submit("gpu5")
    login.lab.until(lambda: login.lab.job_state(job) == "RUNNING", "the job runs")
    with login.start("run", "drain", "gpu5", "--reason", "dust", "--yes") as draining:
        until_told(draining, "to end in its own time")
        second = login.run("run", "reimage", "gpu5", "--reason", "patch", "--yes")
        assert second.code == 3, second.err
        assert re.search(r"operation \S+ of \S+ is at it since", second.out + second.err)
        assert login.run("run", "cordon", "gpu5", "--reason", "mine too", "--yes").code == 0
        draining.kill()
        draining.communicate(timeout=60)
    assert "lock of gpu5: operation" in login.run("doctor").out
    (left,) = [each for each in login.run("operations", "--json").json if each["state"] == "interrupted"]
    assert login.lab.job_state(job) == "RUNNING"
    login.lab.cancel(job)
    assert login.run("resume", left["operation"], "--yes").code == 0
    assert "quarterdeck-gpu5" not in login.lab.scontrol("show", "reservation", "-o")


def test_a_drain_that_requeues_says_so_and_starts_the_job_anew(login: Login) -> None:
    job = login.lab.submit("gpu8")
    login.lab.until(lambda: login.lab.job_state(job) == "RUNNING", "the job runs")
    done = login.run("run", "drain", "gpu8", "--reason", "dust", "--requeue", "--yes")
    assert done.code == 0, done.err
    assert login.lab.job_state(job) == "PENDING"
