"""What all_reduce_perf printed: the table at its largest size, and everything that makes it no evidence."""

from __future__ import annotations

import pytest

from backends.diagnostics.nccl import floor, read_allreduce
from fleet.health import Verdict

_HEAD = """\
# nThread 1 nGpus 8 minBytes 8589934592 maxBytes 17179869184 step: 2(factor) warmup iters: 5 iters: 20 validation: 1
#
# Using devices
"""
_COLUMNS = """\
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
"""


def devices(count: int = 8, model: str = "NVIDIA H100 80GB HBM3") -> str:
    return "".join(
        f"#  Rank {rank:2} Group  0 Pid  {4100 + rank} on node-7 device {rank:2} [0x{rank + 0x18:x}] {model}\n"
        for rank in range(count)
    )


def row(size: int, out: str = "478.11", within: str = "477.40", wrong: str = "0") -> str:
    return (
        f" {size:12} {size // 4:12}     float     sum      -1    62881  273.21  {out}  {wrong:>5}"
        f"    62975  272.80  {within}  {wrong:>5}\n"
    )


def output(*rows: str, end: bool = True, model: str = "NVIDIA H100 80GB HBM3", ranks: int = 8) -> str:
    body = "".join(rows or (row(8 << 30, "470.0", "469.5"), row(16 << 30)))
    last = "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 473.75\n#\n" if end else ""
    return _HEAD + devices(ranks, model) + _COLUMNS + body + last


def test_a_bandwidth_above_the_floor_of_its_model_passes() -> None:
    read = read_allreduce(output(), exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.PASS, "477.4 GB/s at 16 GiB over 8 GPUs")
    assert read.threshold == "at least 460 GB/s (Azure check_nccl_allreduce, ND H100 v5)"


@pytest.mark.parametrize(("out", "within"), [("459.99", "470.0"), ("470.0", "312.5"), ("0.00", "0.00")])
def test_the_slower_of_both_ways_counts(out: str, within: str) -> None:
    read = read_allreduce(output(row(16 << 30, out, within)), exit_code=0, gpus=8)
    assert read.verdict is Verdict.FAIL


def test_smaller_sizes_are_allowed_to_be_slow() -> None:
    read = read_allreduce(output(row(1 << 30, "91.0", "90.0"), row(16 << 30)), exit_code=0, gpus=8)
    assert read.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("model", "gpus", "least"),
    [
        ("NVIDIA H100 80GB HBM3", 8, 460.0),
        ("NVIDIA-H100-80GB-HBM3", 8, 460.0),
        ("NVIDIA H200", 8, 431.0),
        ("NVIDIA A100-SXM4-80GB", 8, 228.0),
        ("NVIDIA H100 PCIe", 8, 35.0),
    ],
)
def test_the_floors_are_those_that_fleets_publish(model: str, gpus: int, least: float) -> None:
    found = floor(model, gpus)
    assert found is not None
    assert found[0] == least


@pytest.mark.parametrize(
    ("model", "gpus"), [("NVIDIA H100 80GB HBM3", 4), ("NVIDIA A100-PCIE-40GB", 8), ("", 8)]
)
def test_a_model_or_count_without_a_floor_is_unknown_and_asks_for_a_limit(model: str, gpus: int) -> None:
    text = output(model=model, ranks=gpus)
    read = read_allreduce(text, exit_code=0, gpus=gpus)
    assert read.verdict is Verdict.UNKNOWN
    assert read.clears == "a limit for this check in the category"
    assert read_allreduce(text, exit_code=0, gpus=gpus, limit=400).verdict is Verdict.PASS


def test_a_wrong_result_fails_at_whatever_size() -> None:
    text = output(row(8 << 30, wrong="3"), row(16 << 30))
    read = read_allreduce(text, exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.FAIL, f"wrong results at {8 << 30:,} bytes")


def test_values_out_of_bounds_fail_without_a_table() -> None:
    read = read_allreduce("# Out of bounds values : 4 FAILED\n", exit_code=1, gpus=8)
    assert read.verdict is Verdict.FAIL


def test_results_that_were_not_checked_only_warn() -> None:
    text = output(row(16 << 30, wrong="N/A"))
    assert read_allreduce(text, exit_code=0, gpus=8).verdict is Verdict.WARN


def test_the_older_table_without_a_root_is_read_too() -> None:
    text = output().replace("    sum      -1 ", "    sum ").replace("      0 ", "  0e+00 ")
    assert read_allreduce(text, exit_code=0, gpus=8).verdict is Verdict.PASS


def behind(text: str, more: str) -> str:
    """The output with something behind every row of its table."""
    lines = text.splitlines(keepends=True)
    return "".join(line.replace("\n", f"{more}\n") if line[:1] == " " else line for line in lines)


@pytest.mark.parametrize(
    "more", ["      20", "  2026-03-01 03:14:15", "      20  2026-03-01 03:14:15", "  \r"]
)
@pytest.mark.parametrize(("out", "verdict"), [("478.11", Verdict.PASS), ("312.50", Verdict.FAIL)])
def test_what_newer_versions_put_behind_a_row_is_no_reason_not_to_read_it(
    more: str, out: str, verdict: Verdict
) -> None:
    read = read_allreduce(behind(output(row(16 << 30, out)), more), exit_code=0, gpus=8)
    assert read.verdict is verdict


def test_a_table_with_what_every_iteration_took_is_read_by_its_own_columns() -> None:
    each = "    61000    64000    63900     1.02"
    line = row(16 << 30, "470.25", "468.50").rstrip("\n")
    out, within = line[: line.index("    62975")], line[line.index("    62975") :]
    read = read_allreduce(output(f"{out}{each}{within}{each}\n"), exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.PASS, "468.5 GB/s at 16 GiB over 8 GPUs")


def test_a_row_of_some_other_width_is_no_result() -> None:
    read = read_allreduce(behind(output(), "   1   2   3"), exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "it printed no result")


@pytest.mark.parametrize("exit_code", [0, 1])
def test_an_average_that_the_program_itself_finds_too_low_fails(exit_code: int) -> None:
    """With NCCL_TESTS_MIN_BW it judges by itself, and then exits with a failure."""
    text = output().replace("bandwidth    : 473.75", "bandwidth    : 473.75 FAILED")
    read = read_allreduce(
        f"{text} .. node-7 pid 41: Test failure common.cu:1126\n", exit_code=exit_code, gpus=8
    )
    assert (read.verdict, read.value) == (Verdict.FAIL, "473.75 GB/s on average")
    passes = output().replace("bandwidth    : 473.75", "bandwidth    : 473.75 OK")
    assert read_allreduce(passes, exit_code=0, gpus=8).verdict is Verdict.PASS


def test_a_gpu_that_is_lost_is_named_in_the_programs_words() -> None:
    told = "Invalid number of GPUs: 8 requested but only 7 were found.\n"
    read = read_allreduce(told, exit_code=3, gpus=8)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, f"exit 3; {told.strip()}")


@pytest.mark.parametrize("tag", ["[1,0]<stdout>:", "[1,0]<stdout>: ", "0: ", " 3: "])
def test_tags_that_mpirun_and_srun_put_before_a_line_are_taken_off(tag: str) -> None:
    text = "".join(tag + line + "\n" for line in output().splitlines())
    assert read_allreduce(text, exit_code=0, gpus=8).verdict is Verdict.PASS


def test_warnings_between_the_rows_are_passed_over() -> None:
    noise = "node-7:4101:4177 [3] NCCL WARN NET/IB : unable to open mlx5_3\n"
    text = output(row(8 << 30, "470.0", "469.5"), noise, row(16 << 30))
    assert read_allreduce(text, exit_code=0, gpus=8).verdict is Verdict.PASS


def test_of_several_tables_in_one_output_the_slowest_counts() -> None:
    text = output() + output(row(16 << 30, "120.0", "118.0"))
    assert read_allreduce(text, exit_code=0, gpus=8).verdict is Verdict.FAIL


def test_a_row_that_another_rank_wrote_into_is_no_result() -> None:
    broken = row(16 << 30).replace("477.40", "4[2] hello 77.40")
    read = read_allreduce(output(row(8 << 30), broken), exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "it ends at 8 GiB of 16 GiB")


@pytest.mark.parametrize(
    ("text", "exit_code", "says"),
    [
        (output(end=False), 0, "it breaks off before its last line (Avg bus bandwidth)"),
        (output(), None, "how it ended is not known"),
        (output(), 137, "exit 137"),
        (output(ranks=4), 0, "it ran on 4 of 8 GPUs"),
        (output(row(16 << 30, "nan", "inf")), 0, "the bandwidth at 16 GiB is no number"),
        (output(row(16 << 30, "N/A", "N/A")), 0, "the bandwidth at 16 GiB is no number"),
        ("", 0, "it printed no result"),
        (
            "node-7: Test NCCL failure common.cu:1019 'unhandled system error'\n",
            3,
            "exit 3; node-7: Test NCCL failure common.cu:1019 'unhandled system error'",
        ),
    ],
)
def test_what_is_no_whole_run_is_unknown(text: str, exit_code: int | None, says: str) -> None:
    read = read_allreduce(text, exit_code=exit_code, gpus=8)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, says)


def test_a_run_that_does_not_say_which_gpus_took_part_is_unknown() -> None:
    read = read_allreduce(output(ranks=0), exit_code=0, gpus=8, model="NVIDIA-H100-80GB-HBM3")
    assert read.value == "it does not say which GPUs took part"


def test_a_whole_table_beside_a_failure_that_was_told_is_unknown_whatever_the_exit() -> None:
    """As a wrapper that loses the program's exit leaves it."""
    told = "node-7: Test NCCL failure common.cu:958 'unhandled system error / '\n"
    read = read_allreduce(f"{output()}{told}", exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, told.strip())


def test_a_failure_in_the_middle_of_a_line_of_a_megabyte_is_told_with_what_stands_around_it() -> None:
    output = f"{'x' * 2**19} Test NCCL failure {'y' * 2**19}\n"
    read = read_allreduce(output, exit_code=0, gpus=8)
    assert read.verdict is Verdict.UNKNOWN
    assert "x Test NCCL failure y" in read.value
    assert len(read.value) <= 300
