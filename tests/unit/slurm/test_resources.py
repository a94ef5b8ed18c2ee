"""GPUs in GRES and TRES texts, and names in host lists, as they have been seen."""

from __future__ import annotations

import pytest

from backends.slurm.gres import asks_for_gpus, fewer_than_configured, gpus_in, gpus_in_tres
from backends.slurm.hostlists import expand


@pytest.mark.parametrize(
    ("text", "whole", "slices", "types"),
    [
        ("gpu:4", 4, 0, ()),
        ("gpu", 1, 0, ()),
        ("gpu:a100:8(S:0-1)", 8, 0, ("a100",)),
        ("gpu:V100:3(IDX:0-1,3)", 3, 0, ("V100",)),
        ("gpu:x:0(IDX:N/A)", 0, 0, ("x",)),
        ("gpu:1080:7", 7, 0, ("1080",)),
        ("gpu:a:2(S:0),gpu:b:2(S:1)", 4, 0, ("a", "b")),
        ("gpu:nvidia_a100_1g.5gb:21(S:0-1)", 0, 21, ("nvidia_a100_1g.5gb",)),
        ("gpu:h200:2(S:0-1),gpu:h200_3g.71gb:6(S:0-1)", 2, 6, ("h200", "h200_3g.71gb")),
        ("gpu:4,shard:20,mps:400", 4, 0, ()),
        ("gpu:t:2,bandwidth:lustre:no_consume:4G,VramPerGpu:no_consume:32G", 2, 0, ("t",)),
        ("gres:gpu:2", 2, 0, ()),
        ("gres/gpu:h100:2", 2, 0, ("h100",)),
        ("craynetwork:4", 0, 0, ()),
        ("(null)", 0, 0, ()),
        ("", 0, 0, ()),
        ("gpu:99999999999999", 1, 0, ("99999999999999",)),
    ],
)
def test_gpus_are_counted_in_every_form(text: str, whole: int, slices: int, types: tuple[str, ...]) -> None:
    found = gpus_in(text)
    assert (found.whole, found.slices, found.types) == (whole, slices, types)


def test_tres_that_counts_no_gpus_says_nothing_of_them() -> None:
    assert gpus_in_tres("cpu=64,mem=187.50G,billing=64,gres/gpu=8,gres/gpu:h100=8") == 8
    assert gpus_in_tres("cpu=64,mem=1T") is None
    assert gpus_in_tres("") is None


def test_a_request_that_is_absent_is_not_a_request_for_none() -> None:
    assert not asks_for_gpus("N/A")
    assert asks_for_gpus("gres:craynetwork:1")


def test_the_controller_s_count_is_read_from_its_reason() -> None:
    assert fewer_than_configured("gres/gpu count reported lower than configured (6 < 8)") == 6
    assert fewer_than_configured("dust") is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu1", ("gpu1",)),
        ("gpu[1-3]", ("gpu1", "gpu2", "gpu3")),
        ("node[08-11,20]", ("node08", "node09", "node10", "node11", "node20")),
        ("d[1-2],f[004,006-007],login", ("d1", "d2", "f004", "f006", "f007", "login")),
        ("r[1-2]n[01-02]", ("r1n01", "r1n02", "r2n01", "r2n02")),
        ("GB200-Rack2-CT[01-02]-x", ("GB200-Rack2-CT01-x", "GB200-Rack2-CT02-x")),
        ("ip-10-1-65-[134,171]", ("ip-10-1-65-134", "ip-10-1-65-171")),
        ("(null)", ()),
        ("", ()),
        ("None assigned", ()),
        ("odd[", ("odd[",)),
        ("odd[a-b]", ("odd[a-b]",)),
        ("[]", ("[]",)),
    ],
)
def test_a_host_list_is_written_out(text: str, names: tuple[str, ...]) -> None:
    assert expand(text) == names


def test_a_list_of_more_names_than_anybody_has_is_cut() -> None:
    assert len(expand("x[0-999999999999]", 1000)) == 1000
    assert len(expand("x[1-100000][1-100000]", 1000)) == 1000
