"""`--nvml`: this host as a fleet of one, through the whole program, with a stand-in for the driver's library in the child."""

from __future__ import annotations

import json
import sys

import pytest

from backends.nvml import host
from tests.journeys.served import quarterdeck
from tui.cli import parser
from tui.run import run


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CHILD", (sys.executable, "-m", "tests.unit.nvml.stand_in", "healthy"))


@pytest.mark.usefixtures("healthy")
def test_this_host_is_listed_with_its_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parser().parse_args(["nodes", "--nvml", "--json"])) == 0
    (node,) = json.loads(capsys.readouterr().out)
    assert (node["source"], node["category"], node["stage"], node["admission"], node["ready"]) == (
        "nvml",
        "NVIDIA-H100-80GB-HBM3",
        "in-service",
        "open",
        True,
    )
    assert node["gpus"]["capacity"] == 2
    metrics = node["metrics"]
    assert (metrics["gpu_util"], metrics["gpu_temp_max"], metrics["power_watts"]) == (42, 61, 825)
    assert (metrics["xid"], metrics["gpus_seen"]) == (None, 2)


@pytest.mark.usefixtures("healthy")
def test_every_verb_on_it_is_blocked(capsys: pytest.CaptureFixture[str]) -> None:
    (name,) = _names(capsys)
    assert run(parser().parse_args(["plan", "cordon", name, "--nvml", "--json"])) == 3
    blockers = json.loads(capsys.readouterr().out)["blockers"]
    assert [blocker["says"] for blocker in blockers] == [
        "nothing may be changed in nvml: it is only looked at"
    ]
    asked = ["run", "drain", name, "--nvml", "--reason", "a reason", "--yes"]
    assert run(parser().parse_args(asked)) == 3
    assert "BLOCKED" in (told := capsys.readouterr().out)
    assert "nothing may be changed in nvml" in told


@pytest.mark.usefixtures("healthy")
def test_its_passive_checks_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    (name,) = _names(capsys)
    assert run(parser().parse_args(["gate", name, "--check", "--nvml", "--json"])) == 3
    findings = json.loads(capsys.readouterr().out)["verdicts"][name]["findings"]
    verdicts = {finding["check"]: finding["verdict"] for finding in findings}
    assert (verdicts["ready"], verdicts["temperature"], verdicts["row-remap"]) == ("PASS", "PASS", "PASS")
    assert verdicts["xid"] == "UNKNOWN"


def test_a_host_without_a_driver_is_unreachable_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "CHILD", (sys.executable, "-m", "tests.unit.nvml.stand_in", "missing"))
    assert run(parser().parse_args(["nodes", "--nvml"])) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert "nvml/nodes is unreachable: NVML: there is no NVIDIA driver on this host" in said.err


def test_the_doctor_of_a_host_without_a_driver_sends_nobody_to_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "CHILD", (sys.executable, "-m", "tests.unit.nvml.stand_in", "missing"))
    assert run(parser().parse_args(["doctor", "--nvml", "--json"])) == 4
    reach = json.loads(capsys.readouterr().out)[0]
    assert "there is no NVIDIA driver on this host" in reach["says"]
    assert reach["mend"] == "look at this host's driver with nvidia-smi; see docs/nvml.md"


@pytest.mark.parametrize(
    "beside",
    [("nodes", "--dcgm", "http://127.0.0.1:9"), ("nodes", "--context", "a"), ("demo",), ("nodes", "--slurm")],
)
def test_nothing_goes_beside_it(beside: tuple[str, ...]) -> None:
    said = quarterdeck("--nvml", *beside)
    assert (said.code, said.out) == (2, "")
    assert "--nvml: is this host alone" in said.err


def _names(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run(parser().parse_args(["nodes", "--nvml", "--json"])) == 0
    return [node["name"] for node in json.loads(capsys.readouterr().out)]
