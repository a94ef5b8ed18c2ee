"""What a cluster is called while its controller does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.slurm.local_conf import NAMELESS, cluster_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ClusterName=lab\n", "lab"),
        ("SlurmctldHost=a\n  clustername = Lab-2 # ours\n", "lab-2"),
        ('ClusterName="lab"\n', "lab"),
        ("#ClusterName=old\nClusterName=new\n", "new"),
        ("SlurmctldHost=a\n", NAMELESS),
        ("", NAMELESS),
    ],
)
def test_the_name_is_read_from_slurm_conf_in_lower_case(tmp_path: Path, text: str, name: str) -> None:
    conf = tmp_path / "slurm.conf"
    conf.write_text(text)
    assert cluster_of(str(conf)) == name


def test_without_a_slurm_conf_a_cluster_has_a_name_all_the_same(tmp_path: Path) -> None:
    assert cluster_of(str(tmp_path / "nothing")) == NAMELESS
