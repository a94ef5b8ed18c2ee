"""What `doctor` says of versions."""

from __future__ import annotations

import pytest

from backends.kubernetes.remarks import judged
from backends.slurm.remarks import of_version


@pytest.mark.parametrize(
    ("version", "ok", "says"),
    [
        ("v1.33.4-gke.1172000", True, "Kubernetes v1.33.4-gke.1172000"),
        ("v1.20.2", True, "Kubernetes v1.20.2"),
        ("v1.36.2+rke2r1", True, "Kubernetes v1.36.2+rke2r1"),
        ("v1.19.16", None, "older than any whose API was measured (1.20 to 1.36)"),
        ("v1.99.0", None, "newer than any whose API was measured (1.20 to 1.36)"),
        ("", None, "Kubernetes unknown"),
        ("\x1b[31mred", None, "Kubernetes"),
    ],
)
def test_an_api_server_outside_what_was_tried_is_said(version: str, ok: bool | None, says: str) -> None:
    remark = judged("prod", version)
    assert (remark.about, remark.ok) == ("prod version", ok)
    assert says in remark.says
    assert bool(remark.mend) is (ok is None)


@pytest.mark.parametrize(
    ("version", "ok", "says"),
    [
        ("22.05.8", True, "slurmctld 22.05.8"),
        ("26.05.0-0rc1", True, "slurmctld 26.05.0-0rc1"),
        ("16.05.11", None, "older than any whose outputs were tried (17.11 to 26.05)"),
        ("27.11.0", None, "newer than any whose outputs were tried (17.11 to 26.05)"),
        ("", None, "slurmctld unknown"),
    ],
)
def test_a_controller_outside_what_was_tried_is_said(version: str, ok: bool | None, says: str) -> None:
    remark = of_version("lab", version)
    assert (remark.ok, says in remark.says) == (ok, True)
