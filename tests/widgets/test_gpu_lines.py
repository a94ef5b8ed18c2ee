"""The GPU table: what is told is shown, what is not is named, and trouble is kept however narrow it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.telemetry import GpuTelemetry
from fleet.trails import device_of, name_of
from tests.clocks import START
from widgets.glyphs import ASCII, UNICODE
from widgets.gpu_cells import GpuScene
from widgets.gpu_lines import gpu_lines
from widgets.lines import width_of_line

USUAL = GpuTelemetry(
    "0",
    uuid="GPU-0",
    util=97,
    temp=61,
    power_watts=640,
    fb_used_mib=70_000,
    fb_total_mib=80_000,
    sm_clock=1980,
    xid=0,
    remapped_correctable=0,
    remapped_uncorrectable=0,
    pcie_replays=0,
)
WHOLE = replace(
    USUAL,
    sm_active=0.8,
    temp_margin=26,
    memory_temp=70,
    clock_event_reasons=0,
    ecc_sbe_volatile=0,
    ecc_dbe_volatile=0,
    ecc_sbe_aggregate=0,
    ecc_dbe_aggregate=0,
    remap_pending=False,
    nvlink_bandwidth=180e9,
    nvlink_errors=0,
    nvlinks_up=18,
    nvlinks_down=0,
    pcie_gen=5,
    pcie_width=16,
    pcie_width_max=16,
    recovery_action=0,
    held_by="ml/train-0",
)
ALL_TOLD = (
    "GPU util trend SM mem °C left HBM W MHz clocks XID ECC ever remaps links errs GB/s PCIe rpl needs held"
)


def text(*gpus: GpuTelemetry, width: int = 200, scene: GpuScene | None = None) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in gpu_lines(gpus, scene or GpuScene(), width)]


def test_every_column_is_there_where_it_is_told_and_has_room() -> None:
    title, row = text(WHOLE)
    assert title.split()[:-1] == ALL_TOLD.split()
    told = "0 ━━━━━ 97% 80% 88% 61 26 70 640 1980 full none 0/0 0/0 0/0 18 up 0 180 5x16 0 none ml/train-0"
    assert row.split() == told.split()


def test_a_column_that_is_not_exported_is_left_out_and_named() -> None:
    title, row, missing = text(USUAL)
    assert "SM" not in title.split()
    assert "ECC" not in title.split()
    assert missing.startswith("not exported: SM active, margin, memory temperature, clock reasons, ECC")
    assert "0/0" in row


def test_a_gpu_that_does_not_tell_what_its_neighbour_tells_is_unknown_and_not_zero() -> None:
    _, _, row = text(
        WHOLE,
        replace(WHOLE, gpu="1", uuid="GPU-1", sm_active=None, ecc_sbe_volatile=None, ecc_dbe_volatile=None),
    )
    assert row.split()[3] == "?"
    assert "?" in row.split()[12]


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"clock_event_reasons": 0x48}, "HW thermal +1"),
        ({"temp_margin": -2.0}, "-2!"),
        ({"nvlinks_up": 16, "nvlinks_down": 2}, "2 down"),
        ({"remap_pending": True}, "pending"),
        ({"row_remap_failure": True}, "FAILED"),
        ({"recovery_action": 1}, "reset GPU"),
        ({"pcie_width": 8}, "5x8!"),
        ({"ecc_dbe_volatile": 2.0}, "0/2"),
    ],
)
def test_trouble_is_shown_at_every_width(width: int, trouble: dict[str, object], said: str) -> None:
    wrong = replace(WHOLE, **trouble)  # type: ignore[arg-type]
    assert said in text(WHOLE, replace(wrong, gpu="1", uuid="GPU-1"), width=width)[2]


def test_a_failed_remap_shows_where_nothing_else_of_remaps_is_told() -> None:
    assert "FAILED" in text(GpuTelemetry("0", util=1, row_remap_failure=True))[1]
    assert " ok" in text(GpuTelemetry("0", util=1, row_remap_failure=False))[1]


def test_an_xid_has_its_age_or_says_that_it_is_unknown() -> None:
    scene = GpuScene(now=START)
    known = replace(WHOLE, xid=79, xid_at=START - timedelta(minutes=3))
    assert "79 3m" in text(known, scene=scene)[1]
    assert "79 age ?" in text(replace(WHOLE, xid=79), scene=scene)[1]


def test_a_gpu_that_is_held_and_idle_stands_out_with_its_owner() -> None:
    assert text(replace(WHOLE, util=0))[1].rstrip().endswith("idle: ml/train-0")
    assert text(WHOLE)[1].rstrip().endswith(" ml/train-0")


def test_mig_instances_stand_under_their_gpu_with_what_is_theirs() -> None:
    parts = [
        GpuTelemetry(
            "0",
            uuid="GPU-0",
            instance=instance,
            profile="3g.40gb",
            engine_active=active,
            fb_used_mib=100,
            fb_total_mib=400,
            temp=61,
            power_watts=300,
            xid=0,
            held_by=holder,
        )
        for instance, active, holder in (("1", 0.5, "ml/a"), ("2", 0.0, "ml/b"))
    ]
    _, whole, first, second, *_ = text(*parts, width=120)
    assert whole.split()[0] == "0"
    assert "61" in whole.split()
    assert first.split()[:2] == [".1", "3g.40gb"]
    assert "50%" in first
    assert "61" not in first.split()
    assert second.rstrip().endswith("idle: ml/b")


@pytest.mark.parametrize("name", [name_of(WHOLE), device_of(WHOLE)])
def test_a_trend_is_drawn_from_what_is_remembered(name: str) -> None:
    trails = {name: [0.0, 50.0, None, 100.0, *[100.0] * 6]}
    assert "▁▅ ██" in text(WHOLE, scene=GpuScene(trails=trails))[1]
    assert "_+ ##" in text(WHOLE, scene=GpuScene(glyphs=ASCII, trails=trails))[1]


def test_a_label_of_forty_thousand_characters_is_cut() -> None:
    monster = replace(
        WHOLE, held_by="[red]" + "x" * 40_000, profile="y" * 40_000, instance="9" * 40_000, gpu="0" * 40_000
    )
    for line in gpu_lines([monster], GpuScene(), 120):
        assert width_of_line(line) <= 120


_numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1e12)


@given(
    st.builds(
        GpuTelemetry,
        gpu=st.text(max_size=4),
        instance=st.sampled_from(["", "1", "7"]),
        util=_numbers,
        temp=_numbers,
        temp_margin=_numbers,
        fb_used_mib=_numbers,
        fb_total_mib=_numbers,
        nvlink_errors=_numbers,
        nvlink_bandwidth=_numbers,
        ecc_sbe_volatile=_numbers,
        held_by=st.text(max_size=30),
    ),
    st.sampled_from([40, 66, 80, 120, 200]),
    st.sampled_from([UNICODE, ASCII]),
)
def test_nothing_that_a_gpu_can_say_breaks_a_line(gpu: GpuTelemetry, width: int, glyphs: object) -> None:
    lines = gpu_lines([gpu, WHOLE], GpuScene(glyphs=ASCII if glyphs is ASCII else UNICODE), width)
    assert all(width_of_line(line) <= width for line in lines)
