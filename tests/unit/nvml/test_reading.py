"""What NVML says becomes rows and a node; what it does not say stays unknown."""

from __future__ import annotations

import io
from dataclasses import replace

import msgspec
import pytest

from backends.nvml.child import serve
from backends.nvml.convert import Here, node_of, rows_of
from backends.nvml.reading import Answer, Failure, Host, read_host
from fleet.gpu_rows import node_from_gpus
from fleet.node import Node, NodeKey
from fleet.telemetry import GpuTelemetry
from tests.clocks import START
from tests.unit.nvml.stand_in import MIB, Card, Instance, Library, NvmlError, missing

HERE = Here("node-1", machine="m1", boot_id="b1", kernel="6.8", os_image="Debian 12")


def rows(*cards: Card) -> tuple[GpuTelemetry, ...]:
    return rows_of(read_host(Library(cards)), START)


def node(*cards: Card) -> Node:
    return node_of(read_host(Library(cards)), HERE)


def conditions(*cards: Card) -> dict[str, tuple[bool | None, str]]:
    return {found.type: (found.bad, found.message) for found in node(*cards).conditions}


def test_every_column_of_a_gpu_is_filled() -> None:
    (row,) = rows(Card(pids=(7, 8)))
    assert row == GpuTelemetry(
        gpu="0",
        uuid="GPU-a",
        model="NVIDIA H100 80GB HBM3",
        pci_bus_id="00000000:18:00.0",
        driver="570.133.20",
        util=42,
        temp=61,
        memory_temp=70,
        power_watts=412.5,
        fb_used_mib=1000,
        fb_total_mib=81_559,
        sm_clock=1980,
        memory_clock=2619,
        pcie_replays=3,
        remapped_uncorrectable=0,
        remapped_correctable=1,
        row_remap_failure=False,
        vbios="96.00.74.00.1A",
        temp_slowdown=87,
        temp_margin=26,
        clock_event_reasons=0x4,
        ecc_sbe_volatile=0,
        ecc_dbe_volatile=0,
        ecc_sbe_aggregate=12,
        ecc_dbe_aggregate=1,
        remap_pending=False,
        recovery_action=0,
        nvlink_errors=0,
        nvlinks_up=18,
        nvlinks_down=0,
        pcie_gen=5,
        pcie_gen_max=5,
        pcie_width=16,
        pcie_width_max=16,
        persistence=True,
        held_by="trainer (pid 7) and 1 more",
        at=START,
    )


def test_nvml_keeps_no_last_xid_so_it_is_unknown() -> None:
    summed = node_from_gpus(rows(Card(), Card("GPU-b")), START)
    assert (summed.xid, summed.gpus_seen) == (None, 2)


BARE = Card(
    util=None, temp=None, memory_temp=None, power_mw=None, used=None, total=None, sm_clock=None,
    memory_clock=None, ecc=None, replays=None, remapped=None, reasons=None, width=None, links=(), mig=None,
    generation=None, slowdown=None, ever=None, persistence=None, recovery=None, link_errors=None,
)  # fmt: skip


def test_a_card_that_supports_nothing_is_all_unknown_and_does_not_count() -> None:
    (row,) = rows(BARE)
    known = {"gpu", "uuid", "model", "pci_bus_id", "driver", "vbios", "at"}
    assert {name for name in GpuTelemetry.__slots__ if getattr(row, name) not in (None, "")} == known
    assert node_from_gpus((row,), START).gpus_seen == 0


@pytest.mark.parametrize(
    "card",
    [
        Card(util=4_294_967_295, temp=255, power_mw=4_294_967_295, sm_clock=4_294_967_295),
        Card(util=101, temp=0, power_mw=10_000_000, sm_clock=2_147_483_632),
    ],
)
def test_numbers_that_can_not_be_are_unknown(card: Card) -> None:
    (row,) = rows(card)
    assert (row.util, row.temp, row.power_watts, row.sm_clock) == (None, None, None, None)


def test_what_the_driver_asks_for_and_the_links_errors_are_told() -> None:
    (row,) = rows(Card(recovery=2, link_errors=5_000_000_000))
    assert (row.recovery_action, row.nvlink_errors, row.memory_temp) == (2, 20_000_000_000, 70)


def test_the_margin_is_nvml_s_where_it_has_one() -> None:
    (row,) = rows(Card(margin=14, temp=61, slowdown=87))
    assert (row.temp_margin, row.temp_slowdown) == (14, 87)


def test_clocks_that_nothing_holds_down_are_known_to_be_free() -> None:
    (row,) = rows(Card(reasons=0))
    assert row.clock_event_reasons == 0


def test_a_process_that_computes_and_draws_is_one() -> None:
    (row,) = rows(Card(pids=(7,), drawing=(7, 9)))
    assert row.held_by == "trainer (pid 7) and 1 more"


OPTIONAL = [name for name in dir(Library) if name.startswith(("nvmlDeviceGet", "nvmlSystemGet")) and name not in (
    "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID")]  # fmt: skip


@pytest.mark.parametrize("how", ["refused", "missing"])
@pytest.mark.parametrize("call", OPTIONAL)
def test_any_call_that_fails_leaves_a_hole_and_nothing_else(call: str, how: str) -> None:
    library = Library((Card(mig=True, instances=(Instance(1),)), Card("GPU-b", pids=(7,))))

    def refused(*arguments: object) -> None:
        raise NvmlError(3)

    setattr(library, call, refused if how == "refused" else None)
    whole = rows_of(read_host(Library(library.cards)), START)
    read = [row for row in rows_of(read_host(library), START) if not row.instance]
    full = [row for row in whole if not row.instance]
    assert len(read) == 2
    for row, before in zip(read, full, strict=True):
        for name in GpuTelemetry.__slots__:
            known = getattr(row, name)
            assert known in (None, "", getattr(before, name)) or name in (
                "held_by",
                "temp_margin",
                "fb_used_mib",
                "fb_total_mib",
            )


def test_a_lost_gpu_keeps_its_place_and_is_named() -> None:
    seen = rows(Card(), Card(lost=True), Card("GPU-c"))
    assert [(row.gpu, row.util) for row in seen] == [("0", 42), ("1", None), ("2", 42)]
    assert conditions(Card(), Card(lost=True))["GpuUnreadable"] == (True, "GPU 1 does not answer")
    assert (node(Card(), Card(lost=True)).gpus_capacity, node(Card(), Card(lost=True)).gpus_allocatable) == (
        2,
        1,
    )


def test_mig_instances_are_rows_under_their_gpu() -> None:
    card = Card(mig=True, util=None, instances=(Instance(7), Instance(9, pids=(5,))))
    parent, first, second = rows(card)
    assert (parent.instance, parent.fb_used_mib, parent.power_watts) == ("", None, 412.5)
    assert (first.gpu, first.uuid, first.instance, first.profile) == ("0", "GPU-a", "7", "1g.10gb")
    assert (first.model, first.fb_total_mib, first.util) == ("NVIDIA H100 80GB HBM3", 9_728, None)
    assert second.held_by == "trainer (pid 5)"
    summed = node_from_gpus((parent, first, second), START)
    assert (summed.gpus_seen, summed.fb_used_ratio) == (1, 200 / (2 * 9_728))
    assert (node(card).gpus_capacity, node(card).gpus_allocatable, node(card).mig_allocatable) == (1, 0, 2)


def test_the_host_is_a_node_in_service_with_its_versions() -> None:
    found = node(Card())
    assert (found.key, found.uid, found.boot_id) == (NodeKey("nvml", "node-1"), "m1", "b1")
    assert (found.stage.value, found.admission.value, found.readiness.value) == (
        "in-service",
        "open",
        "ready",
    )
    assert found.category == "NVIDIA-H100-80GB-HBM3"
    assert (found.software.driver, found.software.cuda, found.software.kernel) == (
        "570.133.20",
        "12.8",
        "6.8",
    )


@pytest.mark.parametrize(
    ("card", "name", "bad", "message"),
    [
        (
            Card(remapped=(0, 2, 1, 0)),
            "RowRemapPending",
            True,
            "GPU 0 waits for a reset to remap rows",
        ),
        (Card(reasons=0x40), "ClocksSlowed", True, "GPU 0 is slowed by heat or power"),
        (Card(width=(8, 16)), "PcieWidthReduced", True, "GPU 0 has fewer PCIe lanes than it could"),
        (Card(links=(1, 0, 1)), "NvlinkDown", None, "GPU 0 has NVLinks that are down"),
    ],
)
def test_a_fault_beyond_the_columns_is_a_condition(
    card: Card, name: str, bad: bool | None, message: str
) -> None:
    assert conditions(card)[name] == (bad, message)
    assert set(conditions(Card())) == {"VbiosMixed"}


def test_vbios_versions_that_differ_are_told() -> None:
    cards = (Card(), Card("GPU-b"), Card("GPU-c", vbios="96.00.89.00.01"))
    assert conditions(*cards)["VbiosMixed"] == (True, "VBIOS 96.00.74.00.1A on 2, 96.00.89.00.01 on 1")
    assert conditions(Card())["VbiosMixed"][0] is False


def test_texts_of_the_driver_are_harmless() -> None:
    (row,) = rows(Card(name="\x1b[2JNVIDIA \x07" + "x" * 4000))
    assert "\x1b" not in row.model
    assert len(row.model) <= 120


def test_a_driver_too_old_for_a_call_leaves_a_hole() -> None:
    class Old(Library):
        nvmlDeviceGetCurrentClocksEventReasons = None  # type: ignore[assignment]  # noqa: N815 - NVML's own name

    host = read_host(Old((Card(),)))
    assert host.gpus[0].clock_reasons is None
    assert host.gpus[0].util == 42


def ask(library: Library, requests: int) -> list[Answer]:
    answers = io.BytesIO()
    serve(library, io.BytesIO(b"\n" * requests), answers)
    decode = msgspec.json.Decoder(Answer).decode
    return [decode(line) for line in answers.getvalue().splitlines()]


def test_an_xid_is_heard_while_somebody_listens() -> None:
    library = Library((Card(), Card("GPU-b"), Card("GPU-c", power_mw=None)))
    library.events.extend([(0, 79), (1, 13), (1, 63)])
    read, again = ask(library, 2)
    assert isinstance(read, Host)
    assert [(gpu.xid, gpu.xids) for gpu in read.gpus] == [(79, 1), (63, 2), (None, 0)]
    assert again == read
    assert library.registered == ["GPU-a", "GPU-b"]


def test_a_library_that_knows_no_events_is_read_all_the_same() -> None:
    class Old(Library):
        nvmlEventSetCreate = None  # type: ignore[assignment]  # noqa: N815 - NVML's own name

    (read,) = ask(Old(), 1)
    assert isinstance(read, Host)
    assert read.gpus[0].xid is None


def test_the_child_answers_every_request_with_a_reading() -> None:
    library = Library((Card(used=5 * MIB),))
    first, second = ask(library, 2)
    assert isinstance(first, Host)
    assert first == second
    assert first.gpus[0].used_mib == 5
    assert library.inits == [1]


@pytest.mark.parametrize(
    ("value", "kind"), [(12, "library"), (9, "driver"), (4, "permission"), (999, "other")]
)
def test_the_child_says_why_there_is_no_reading_and_ends(value: int, kind: str) -> None:
    def fail() -> None:
        raise NvmlError(value, "no")

    assert ask(Library(init=fail), 3) == [Failure(kind, "no")]
    assert ask(Library(count=fail), 3) == [Failure(kind, "no")]


def test_a_missing_library_is_told_from_a_missing_driver() -> None:
    assert ask(replace(Library(), init=missing), 1) == [Failure("library", "NVML Shared Library Not Found")]
