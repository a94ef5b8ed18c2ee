"""How active checks are asked for in the settings file, and every mistake named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fleet.active_checks import asked, runs_checks
from fleet.diagnosis import CheckSite
from tui.settings import BadSettings, Settings, load


def read(folder: Path, text: str) -> Settings:
    file = folder / "config.toml"
    file.write_text(text)
    return load(file)


def test_nothing_is_run_on_a_node_by_default(tmp_path: Path) -> None:
    assert not runs_checks(read(tmp_path, "[category.h100]\nexpected_gpus = 8\n").policy)


def test_a_table_asks_for_its_check(tmp_path: Path) -> None:
    text = """
    [category.h100.checks.dcgm-diag]
    level = 3
    needed = false
    image = "lab/dcgm:4"
    deadline = "40m"

    [category.h100.checks.site.links]
    command = ["/opt/check-links", "{node}"]
    """
    checks = asked(read(tmp_path, text).policy.category("h100"))
    assert list(checks) == ["dcgm-diag", "site.links"]
    diag, links = checks["dcgm-diag"], checks["site.links"]
    assert diag.on_node is not None
    assert links.on_node is not None
    assert (diag.on_node.level, diag.on_node.image, diag.needed) == (3, "lab/dcgm:4", False)
    assert diag.on_node.deadline == timedelta(minutes=40)
    assert (links.on_node.command, links.needed) == (("/opt/check-links", "{node}"), True)


def test_a_category_takes_up_what_every_other_has_and_may_leave_it_out(tmp_path: Path) -> None:
    text = """
    [category."*".checks.nccl-allreduce]
    image = "lab/nccl:1"
    limit = 300

    [category.h100.checks.nccl-allreduce]
    limit = 450

    [category.l40s.checks.nccl-allreduce]
    enabled = false
    """
    policy = read(tmp_path, text).policy
    rule = asked(policy.category("h100"))["nccl-allreduce"]
    assert rule.on_node is not None
    assert (rule.limit, rule.on_node.image) == (450, "lab/nccl:1")
    assert asked(policy.category("l40s")) == {}
    assert asked(policy.category("a100"))["nccl-allreduce"].limit == 300


def test_where_a_cluster_runs_them_is_set_once(tmp_path: Path) -> None:
    assert read(tmp_path, "").kubernetes.checks == CheckSite("quarterdeck-checks", "")
    text = '[kubernetes.checks]\nnamespace = "ops"\npriority_class = "low"\n'
    assert read(tmp_path, text).kubernetes.checks == CheckSite("ops", "low")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[category.a.checks.dcgm-diag]\nlevel = 5", "category.a.checks.dcgm-diag.level: expected 1 to 4"),
        (
            "[category.a.checks.dcgm-diag]\nlevel = 0",
            "category.a.checks.dcgm-diag.level: expected a whole number",
        ),
        ("[category.a.checks.dcgm-diag]\nlimit = 3", "category.a.checks.dcgm-diag.limit: unknown key"),
        (
            "[category.a.checks.nccl-allreduce]\nlevel = 2",
            "category.a.checks.nccl-allreduce.level: unknown key",
        ),
        ("[category.a.checks.nccl-allreduce]\nseverity = 'warn'", "nccl-allreduce.severity: unknown key"),
        ("[category.a.checks.dcgm-diag]\ncommand = 'dcgmi diag'", "command: expected a list of texts"),
        ("[category.a.checks.dcgm-diag]\ncommand = ['', 'x']", "command: expected a program first"),
        (
            "[category.a.checks.site.links]\nneeded = true",
            "checks.site.links.command: expected a list of texts",
        ),
        (
            "[category.a.checks.site.Links]\ncommand = ['x']",
            "checks.site.Links: expected a name of lower-case",
        ),
        ("[category.a.checks.site]\ncommand = ['x']", "checks.site.command: expected a table"),
        (
            "[kubernetes.checks]\nnamespace = 'a b'",
            "kubernetes.checks.namespace: expected the name of a namespace",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadSettings) as caught:
        read(tmp_path, text)
    assert says in str(caught.value)
