"""The `[[join]]` tables: every way to say which nodes are one machine, and what is said of a table that says it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.machine import JoinBy, JoinRule
from tui.settings import BadSettings, load


def read(tmp_path: Path, text: str) -> tuple[JoinRule, ...]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file).policy.joins


def table(text: str = "") -> str:
    return f'[[join]]\nkubernetes = "prod"\nslurm = "lab"\n{text}\n'


def test_without_a_table_nothing_is_joined(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ()


def test_equal_names_are_the_default_and_the_kubernetes_node_is_shown(tmp_path: Path) -> None:
    assert read(tmp_path, table()) == (JoinRule("prod", "lab", JoinBy.NAME),)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('by = "name"\nshows = "slurm"', JoinRule("prod", "lab", JoinBy.NAME, shows_slurm=True)),
        ('by = "label"\nkey = "site/slurm"', JoinRule("prod", "lab", JoinBy.LABEL, key="site/slurm")),
        (
            'by = "annotation"\nkey = "site/slurm"',
            JoinRule("prod", "lab", JoinBy.ANNOTATION, key="site/slurm"),
        ),
        ('by = "pods"\nkey = "app=slurmd"', JoinRule("prod", "lab", JoinBy.PODS, key="app=slurmd")),
        ('by = "slinky"', JoinRule("prod", "lab", JoinBy.SLINKY)),
        ('by = "soperator"', JoinRule("prod", "lab", JoinBy.SOPERATOR)),
        (
            "by = \"pattern\"\npattern = '(\\w+)\\.site'\ntemplate = '\\1'",
            JoinRule("prod", "lab", JoinBy.PATTERN, pattern=r"(\w+)\.site", template=r"\1"),
        ),
    ],
)
def test_each_way_is_read(tmp_path: Path, text: str, rule: JoinRule) -> None:
    assert read(tmp_path, table(text)) == (rule,)


def test_a_cluster_is_named_as_its_controller_gives_it_in_lower_case(tmp_path: Path) -> None:
    (rule,) = read(tmp_path, table().replace("lab", "Lab"))
    assert rule.slurm == "lab"


def test_several_contexts_may_each_be_joined(tmp_path: Path) -> None:
    second = table().replace("prod", "east")
    assert [rule.kubernetes for rule in read(tmp_path, table() + second)] == ["prod", "east"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[join]]\nslurm = "lab"', "join.1.kubernetes: expected a kubeconfig context, found nothing"),
        ('[[join]]\nkubernetes = "prod"', "join.1.slurm: expected a Slurm cluster, as its ClusterName"),
        (
            '[[join]]\nkubernetes = "lab"\nslurm = "lab"',
            "join.1.slurm: expected another source than the Kubernetes one",
        ),
        (table('by = "uid"'), "join.1.by: expected one of name, label, annotation"),
        (
            table('by = "label"'),
            "join.1.key: expected the label of the Kubernetes node that holds the Slurm node's name",
        ),
        (table('by = "pods"'), "join.1.key: expected the label of slurmd's pods"),
        (table('by = "name"\nkey = "x"'), "join.1.key: unknown key"),
        (table('by = "slinky"\npattern = "x"'), "join.1.pattern: unknown key"),
        (table('by = "pattern"'), "join.1.pattern: expected a regular expression"),
        (table('by = "pattern"\npattern = "x"'), "join.1.template: expected the Slurm node's name"),
        (table('by = "pattern"\npattern = "("\ntemplate = "x"'), "join.1.pattern: a regular expression"),
        (
            table("by = \"pattern\"\npattern = 'x'\ntemplate = '\\1'"),
            "join.1.template: expected groups of the pattern",
        ),
        (table('shows = "both"'), "join.1.shows: expected one of kubernetes, slurm"),
        (table("slurmm = 1"), "join.1.slurmm: unknown key; did you mean slurm?"),
        (table() + table(), "join.2.slurm: prod and lab are joined by an earlier rule already"),
        ('join = "prod=lab"', "join: expected a list of tables"),
    ],
)
def test_a_mistake_names_table_key_and_what_was_expected(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadSettings) as raised:
        read(tmp_path, text)
    assert says in str(raised.value)
