"""A whole gate with active checks on a real slurmctld: what it finds decides, and the node is closed at every moment before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.slurm.check_reservations import PREFIX
from tests.journeys.test_slurm import CONFIG, Login
from tests.slurm_lab import SlurmLab, slurm_lab

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm")]

CHECKS = """
[category.train.checks.dcgm-diag]
needed = true
command = ["{folder}/dcgmi", "diag", "-r", "2", "-j"]
[category.train.checks.site.links]
needed = true
command = ["{folder}/links"]
"""
DCGMI = """#!/bin/sh
printf '{"DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": [{"name": "memory", "results": ['
for gpu in 0 1 2 3 4 5 6 7; do
  status=Pass; [ "$gpu" = "$(cat FOLDER/sick)" ] && status=Fail
  [ $gpu = 0 ] || printf ','
  printf '{"entity_group": "GPU", "entity_id": %s, "status": "%s"}' $gpu $status
done
echo ']}]}]}}'
[ ! -s FOLDER/sick ]
"""
LINKS = "#!/bin/sh\n[ ! -s FOLDER/slow ] || sleep 300\necho all links up\n"


@dataclass(frozen=True, slots=True)
class Floor:
    """A login node of a cluster whose nodes are gated with checks of stand-ins, kept in `folder`."""

    login: Login
    folder: Path

    @property
    def lab(self) -> SlurmLab:
        return self.login.lab

    def put(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def reserved(self) -> bool:
        return PREFIX in self.lab.scontrol("show", "reservation", "-o")

    def close(self, node: str) -> None:
        assert self.login.run("run", "cordon", node, "--reason", "dust", "--yes").code == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with slurm_lab(tmp_path_factory.mktemp("slurm"), 2) as lab:
        yield lab


@pytest.fixture
def floor(cluster: SlurmLab, tmp_path: Path) -> Floor:
    tmp_path.chmod(0o755)
    for name, text in (("dcgmi", DCGMI), ("links", LINKS)):
        (tmp_path / name).write_text(text.replace("FOLDER", str(tmp_path)))
        (tmp_path / name).chmod(0o755)
    config = tmp_path / "config.toml"
    own = CONFIG.replace('"v2"', '"v1"')  # the image that the lab's nodes have
    config.write_text(own + CHECKS.replace("{folder}", str(tmp_path)))
    floor = Floor(Login(cluster, config), tmp_path)
    floor.put("sick", "")
    floor.put("slow", "")
    return floor


def test_a_gpu_that_fails_keeps_the_node_from_a_waiting_job_until_it_is_replaced(floor: Floor) -> None:
    floor.close("gpu1")
    job = floor.lab.submit("gpu1")
    floor.put("sick", "3")
    failed = floor.login.run("gate", "gpu1", "--yes", "--json")
    assert failed.code == 1, failed.err
    found = json.dumps(failed.json["verdicts"]["gpu1"])
    assert "memory: Fail on GPU 3" in found
    assert "all links up" in found
    uncordon = ("run", "uncordon", "gpu1", "--reason", "dusted", "--yes")
    assert floor.login.run(*uncordon).code == 3
    assert floor.lab.states("gpu1") >= {"IDLE", "DRAIN"}
    assert (floor.lab.job_state(job), floor.reserved()) == ("PENDING", False)
    floor.put("sick", "")
    repaired = ("gate", "gpu1", "--repaired", "replaced GPU 3", "--yes")
    asked = floor.login.run(*repaired)
    shown = re.search(r"--plan ([0-9a-f]{12})", asked.err)
    assert shown is not None, asked.err
    passed = floor.login.run(*repaired, "--plan", shown[1])
    assert passed.code == 0, passed.out + passed.err
    assert (floor.lab.job_state(job), floor.reserved()) == ("PENDING", False)
    assert floor.login.run(*uncordon).code == 0
    floor.lab.until(lambda: floor.lab.job_state(job) == "RUNNING", "the job that waited runs")
    assert not floor.reserved()
    floor.lab.cancel(job)


def test_a_gate_that_was_killed_leaves_the_node_closed_and_is_resumed_to_its_end(floor: Floor) -> None:
    floor.close("gpu2")
    floor.put("slow", "yes")
    with floor.login.start("gate", "gpu2", "--yes") as gating:
        floor.lab.until(
            lambda: (
                "ALLOCATED" in floor.lab.states("gpu2")
                and "site.links" in floor.lab.command("squeue", "-h", "-o", "%k")
            ),
            "the second check runs",
        )
        gating.kill()
        gating.communicate(timeout=60)
    job = floor.lab.submit("gpu2")
    assert floor.reserved()
    assert f"{PREFIX}gpu2 keeps it closed for a check" in floor.login.run("doctor").out
    floor.put("slow", "")
    (left,) = [
        each for each in floor.login.run("operations", "--json").json if each["state"] == "interrupted"
    ]
    resumed = floor.login.run("resume", left["operation"], "--yes")
    assert resumed.code == 0, resumed.out + resumed.err
    assert floor.lab.job_state(job) == "PENDING"
    assert floor.lab.states("gpu2") >= {"DRAIN"}
    assert not floor.reserved()
    floor.lab.cancel(job)
