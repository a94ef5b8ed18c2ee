"""What `dcgmi diag -j` printed, in the shapes of DCGM 2, 3 and 4, whole, noisy, cut off and wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backends.diagnostics.dcgmi import read_diag
from fleet.health import Verdict


def third(status: str = "Pass", gpus: int = 2, *, fails: int | None = None, **more: Any) -> str:
    """A report as DCGM 3 prints it: strings for ids, a list of device ids, deployment tests without a GPU."""
    rows = [
        {"gpu_id": str(gpu), "status": "Fail" if gpu == fails else status, **(more if gpu == fails else {})}
        for gpu in range(gpus)
    ]
    body = {
        "test_categories": [
            None,
            {
                "category": "Deployment",
                "tests": [
                    {"name": "Denylist", "results": [{"status": "Pass"}]},
                    None,
                    {"name": "Graphics Processes", "results": [{"status": "Skip"}]},
                ],
            },
            {"category": "Hardware", "tests": [{"name": "GPU Memory", "results": rows}]},
        ],
    }
    document = {
        "DCGM GPU Diagnostic": body,
        "Driver Version Detected": "535.161.08",
        "GPU Device IDs": ["2330"] * gpus,
        "GPU Device Serials": {str(gpu): f"16509230{gpu}" for gpu in range(gpus)},
        "version": "3.3.7",
    }
    return json.dumps(document, indent=2)


def second(status: str = "PASS", ids: str = "0,1") -> str:
    """As DCGM 2 prints it: `gpu_ids` as one text, warnings as a text, nothing that lists the GPUs."""
    results = [{"gpu_ids": ids, "status": status, "warnings": "row 7 is slow" if status != "PASS" else ""}]
    tests = [{"name": "PCIe", "results": results}]
    return json.dumps(
        {"DCGM GPU Diagnostic": {"test_categories": [{"category": "Integration", "tests": tests}]}}
    )


def fourth(statuses: tuple[str, ...] = ("Pass", "Pass"), listed: int | None = None, **more: Any) -> str:
    """As DCGM 4 prints it: entities by group, a CPU among them, a summary of each test."""
    entities = [
        {"entity_id": at, "device_id": "2330"} for at in range(len(statuses) if listed is None else listed)
    ]
    results = [
        {"entity_group": "GPU", "entity_group_id": 1, "entity_id": at, "status": status}
        for at, status in enumerate(statuses)
    ]
    cpu = {"entity_group": "CPU", "entity_group_id": 7, "entity_id": 0, "status": "Skip"}
    body = {
        "test_categories": [
            {
                "category": "Stress",
                "tests": [
                    {
                        "name": "targeted_power",
                        "results": [*results, cpu],
                        "test_summary": {"status": statuses[0]},
                    }
                ],
            }
        ],
        **more,
    }
    groups = [
        {"entity_group": "GPU", "entity_group_id": 1, "entities": entities},
        {"entity_group": "CPU", "entity_group_id": 7, "entities": [{"entity_id": 0}]},
    ]
    return json.dumps({"DCGM Diagnostic": body, "entity_groups": groups, "metadata": {"version": "4.2.3"}})


def level_one(**row: Any) -> str:
    """Level 1 as DCGM 3 prints it: tests of the node, which name a GPU for their error alone, or -1 for none."""
    tests = [{"name": "Denylist", "results": [{"status": "Pass"}]}, {"name": "Inforom", "results": [row]}]
    body = {"test_categories": [{"category": "Deployment", "tests": tests}]}
    return json.dumps({"DCGM GPU Diagnostic": body, "GPU Device IDs": ["2330"] * 8, "version": "3.3.7"})


@pytest.mark.parametrize("report", [third(), second(), fourth()], ids=["dcgm 3", "dcgm 2", "dcgm 4"])
def test_a_report_in_which_every_gpu_passes_is_a_pass(report: str) -> None:
    read = read_diag(report, exit_code=0, gpus=2)
    assert read.verdict is Verdict.PASS
    assert "passed" in read.value


def test_tests_that_were_skipped_are_counted_and_do_no_harm() -> None:
    assert read_diag(third(), exit_code=0, gpus=2).value == "2 tests passed, 1 skipped"


@pytest.mark.parametrize(
    "report",
    [third(fails=1), second("Fail"), fourth(("Pass", "FAIL"))],
    ids=["dcgm 3", "dcgm 2", "dcgm 4"],
)
@pytest.mark.parametrize("exit_code", [0, 1, 226, None])
def test_one_failed_test_fails_however_it_exits(report: str, exit_code: int | None) -> None:
    assert read_diag(report, exit_code=exit_code, gpus=2).verdict is Verdict.FAIL


def test_a_failure_names_test_gpu_warning_and_error() -> None:
    warning = {"error_category": 4, "error_id": 44, "warning": "GPU 1: memory at 0x7f00 differs"}
    read = read_diag(third(fails=1, warnings=[warning]), exit_code=226, gpus=2)
    assert read.value == "GPU Memory: Fail on GPU 1: GPU 1: memory at 0x7f00 differs (error 44)"
    assert read.clears


def test_a_warning_warns_with_its_words() -> None:
    read = read_diag(second("Warn"), exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.WARN, "PCIe: Warn on GPU 0, 1: row 7 is slow")


def test_everything_skipped_is_unknown() -> None:
    read = read_diag(fourth(("Skip", "Skip")), exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "no test was run: all were skipped")


def test_a_gpu_that_dcgm_does_not_see_fails() -> None:
    read = read_diag(third(gpus=7), exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.FAIL, "DCGM sees 7 of 8 GPUs")


def test_a_gpu_without_a_serial_is_seen_all_the_same() -> None:
    document = json.loads(third())
    del document["GPU Device Serials"]["1"]
    assert read_diag(json.dumps(document), exit_code=0, gpus=2).verdict is Verdict.PASS


def test_level_one_of_dcgm_3_names_no_gpu_in_its_tests_and_passes_with_all_of_them_there() -> None:
    read = read_diag(level_one(status="Pass"), exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.PASS, "2 tests passed")


@pytest.mark.parametrize(("gpu", "where"), [(5, "on GPU 5: "), (-1, ": "), ("-1", ": ")])
def test_an_error_of_the_node_names_its_gpu_or_none(gpu: object, where: str) -> None:
    errors = [{"warnings": "checksum differs", "error_id": 21, "error_category": 15, "error_severity": 2}]
    read = read_diag(level_one(status="Fail", gpu_id=gpu, warnings=errors), exit_code=226, gpus=8)
    assert (read.verdict, read.value.removeprefix("Inforom: Fail").strip()) == (
        Verdict.FAIL,
        f"{where}checksum differs (error 21)",
    )


def test_a_warning_of_the_node_about_one_gpu_does_not_say_that_the_others_were_left_out() -> None:
    read = read_diag(level_one(status="Warn", gpu_id=3, warnings=[]), exit_code=0, gpus=8)
    assert (read.verdict, read.value) == (Verdict.WARN, "Inforom: Warn on GPU 3")


@pytest.mark.parametrize(
    ("severities", "asks"),
    [
        ((1, 6), "a reset of the GPU, then"),
        ((6, 2), "isolating the GPU"),
        ((5,), "the setting that it names"),
        ((4,), "triage"),
        ((3, 0), "what DCGM asks for"),
        (("6",), "what DCGM asks for"),
    ],
)
def test_what_would_clear_it_is_what_dcgm_asks_for_by_its_gravest_error(
    severities: tuple[object, ...], asks: str
) -> None:
    warnings = [{"error_id": 1, "error_severity": each, "warning": "bad"} for each in severities]
    assert read_diag(third(fails=1, warnings=warnings), exit_code=226, gpus=2).clears.startswith(asks)


def test_a_pass_that_reports_an_error_only_warns() -> None:
    """DCGM 4.5's memory test, where it could not allocate what it was to test (NVIDIA/DCGM issue 284)."""
    report = json.loads(fourth())
    row = report["DCGM Diagnostic"]["test_categories"][0]["tests"][0]["results"][1]
    row["warnings"] = [{"error_id": 56, "error_severity": 1, "warning": "too little memory was allocated"}]
    read = read_diag(json.dumps(report), exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (
        Verdict.WARN,
        "targeted_power: Warn on GPU 1: too little memory was allocated (error 56)",
    )


def test_a_summary_that_warns_of_no_gpu_in_particular_warns() -> None:
    report = json.loads(fourth())
    test = report["DCGM Diagnostic"]["test_categories"][0]["tests"][0]
    test["test_summary"] = {"status": "Warn", "info": ["counters could not be read"]}
    read = read_diag(json.dumps(report), exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (
        Verdict.WARN,
        "targeted_power: Warn: counters could not be read",
    )


def test_a_report_whose_keys_were_put_in_another_order_is_read() -> None:
    for again in (
        json.dumps(dict(reversed(json.loads(fourth()).items()))),
        "started\n" + json.dumps(dict(reversed(json.loads(third()).items())), indent=1) + "\ndone",
    ):
        assert read_diag(again, exit_code=0, gpus=2).verdict is Verdict.PASS
        assert read_diag(again[:-40], exit_code=0, gpus=2).value == "its report breaks off"


@pytest.mark.parametrize("fails", [None, 1])
def test_every_iteration_of_a_repeated_run_counts(fails: int | None) -> None:
    """`--iterations` puts the reports into a list, with a result of the whole beside it."""
    runs = [json.loads(third()), json.loads(third(fails=fails))]
    output = json.dumps({"iterations": runs, "result": "Fail" if fails else "Pass"}, indent=3)
    expected = Verdict.PASS if fails is None else Verdict.FAIL
    assert read_diag(output, exit_code=0, gpus=2).verdict is expected


@pytest.mark.parametrize("word", ["Skip - All", "SKIPPED", "Not_Run"])
def test_a_cpus_test_that_was_skipped_in_other_words_does_no_harm(word: str) -> None:
    report = json.loads(third())
    cpu = {"name": "CPU EUD Test", "results": [{"cpu_id": "0", "status": word}]}
    report["DCGM GPU Diagnostic"]["test_categories"].append({"category": "Hardware", "tests": [cpu]})
    assert read_diag(json.dumps(report), exit_code=0, gpus=2).verdict is Verdict.PASS


def test_a_gpu_that_is_there_without_a_result_is_unknown() -> None:
    read = read_diag(fourth(("Pass",), listed=2), exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "results of 1 of 2 GPUs, none of 1")


def test_a_gpu_that_one_test_left_out_is_no_pass_though_another_names_it() -> None:
    report = json.loads(fourth())
    short = {"name": "memory", "results": [{"entity_group": "GPU", "entity_id": 0, "status": "Pass"}]}
    report["DCGM Diagnostic"]["test_categories"].append({"category": "Hardware", "tests": [short]})
    read = read_diag(json.dumps(report), exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "memory: on 1 of 2 GPUs")


def test_a_report_that_breaks_off_is_no_pass_though_another_is_whole() -> None:
    broken = fourth(("Pass", "Fail"))[:-20]
    read = read_diag(f"{broken}\n{fourth()}", exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "one of its reports breaks off")


def test_a_gpu_skipped_by_every_test_has_no_result() -> None:
    assert read_diag(fourth(("Pass", "Skip")), exit_code=0, gpus=2).verdict is Verdict.UNKNOWN


def test_a_report_that_names_no_gpu_is_unknown() -> None:
    tests = [{"name": "Denylist", "results": [{"status": "Pass"}]}]
    body = {"DCGM GPU Diagnostic": {"test_categories": [{"category": "Deployment", "tests": tests}]}}
    assert read_diag(json.dumps(body), exit_code=0, gpus=8).value == "the report names no GPU"


def test_a_status_that_nobody_knows_is_unknown() -> None:
    assert read_diag(third("Passed?"), exit_code=0, gpus=2).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("exit_code", [1, 226, None])
def test_a_report_that_passes_needs_an_exit_that_says_so(exit_code: int | None) -> None:
    assert read_diag(third(), exit_code=exit_code, gpus=2).verdict is Verdict.UNKNOWN


def test_text_around_the_report_is_passed_over() -> None:
    noise = 'Starting {"host": "engine"}\n\x1b[31mwarning\x1b[0m\n'
    read = read_diag(f"{noise}{third()}\nSuccessfully ran diagnostic\n}}", exit_code=0, gpus=2)
    assert read.verdict is Verdict.PASS


def test_of_two_reports_the_failing_one_counts() -> None:
    assert read_diag(third() + "\n" + third(fails=0), exit_code=0, gpus=2).verdict is Verdict.FAIL


@pytest.mark.parametrize("keep", [30, 400, -3])
def test_a_report_that_breaks_off_is_unknown(keep: int) -> None:
    read = read_diag(third()[:keep], exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "its report breaks off")


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (
            "Error: Unable to establish a connection to the specified host: localhost\nError: Unable to connect.\n",
            "Unable to establish a connection",
        ),
        ("dcgmi: error while loading shared libraries: libdcgm.so.4: cannot open", "error while loading"),
        ("sh: dcgmi: not found\n", "no report: sh: dcgmi: not found"),
        ("", "it printed nothing"),
        ("{", "no report: {"),
        ('{"DCGM GPU Diagnostic": ' * 3000, "its report breaks off"),
    ],
    ids=["no engine", "no library", "no command", "nothing", "a brace", "nested beginnings"],
)
@pytest.mark.parametrize("exit_code", [0, 1, 127])
def test_no_report_is_unknown_and_says_why(output: str, says: str, exit_code: int) -> None:
    read = read_diag(output, exit_code=exit_code, gpus=8)
    assert read.verdict is Verdict.UNKNOWN
    assert says in read.value


def test_an_error_of_the_run_is_unknown_though_its_tests_pass() -> None:
    read = read_diag(fourth(runtime_error="The hostengine is being stopped"), exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "The hostengine is being stopped")


def test_an_error_that_stands_beside_the_report_counts_too() -> None:
    document = json.dumps({**json.loads(fourth()), "runtime_error": "the diagnostic was stopped"})
    read = read_diag(document, exit_code=0, gpus=2)
    assert (read.verdict, read.value) == (Verdict.UNKNOWN, "the diagnostic was stopped")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"DCGM GPU Diagnostic": []},
        {"DCGM GPU Diagnostic": {"test_categories": {"a": 1}}},
        {"DCGM": {"x": None}},
    ],
)
def test_a_report_of_another_shape_is_unknown(body: object) -> None:
    assert read_diag(json.dumps(body), exit_code=0, gpus=2).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "test",
    [
        {"name": "pcie", "results": [{"gpu_id": "0", "state": "Fail"}]},
        {"name": "pcie", "results": [{"gpu_id": "0", "status": None}]},
        {"name": "pcie", "results": ["Fail"]},
        {"name": "pcie", "results": {"0": "Fail"}},
        {"name": "pcie", "results": []},
        {"name": "pcie", "results": [], "test_summary": {}},
        {"name": "pcie", "status": "Fail"},
        "pcie: Fail",
    ],
)
def test_a_test_of_another_shape_is_unknown_though_all_others_pass(test: object) -> None:
    document = json.loads(third())
    document["DCGM GPU Diagnostic"]["test_categories"][2]["tests"].append(test)
    read = read_diag(json.dumps(document), exit_code=0, gpus=2)
    assert read.verdict is Verdict.UNKNOWN
    assert "a result that is not known" in read.value


@pytest.mark.parametrize("category", ["Hardware: Fail", {"category": "Hardware", "tests": {"name": "pcie"}}])
def test_a_category_of_another_shape_is_unknown_though_all_others_pass(category: object) -> None:
    document = json.loads(third())
    document["DCGM GPU Diagnostic"]["test_categories"].append(category)
    assert read_diag(json.dumps(document), exit_code=0, gpus=2).verdict is Verdict.UNKNOWN


def test_gpus_that_are_listed_in_another_shape_are_not_said_to_be_lost() -> None:
    document = json.loads(fourth())
    document["entity_groups"][0]["entities"] = "0,1"
    assert read_diag(json.dumps(document), exit_code=0, gpus=2).verdict is Verdict.PASS


@pytest.mark.parametrize("unit", ['{"DCGM": [', '{"DCGM": {"a":"', "x"])
def test_a_megabyte_of_beginnings_is_unknown(unit: str) -> None:
    read = read_diag(unit * (2**20 // len(unit)), exit_code=0, gpus=2)
    assert read.verdict is Verdict.UNKNOWN
    assert len(read.value) <= 200


def test_hostile_texts_are_cleaned_and_bounded() -> None:
    read = read_diag(third(fails=0, warnings="\x1b]0;x\x07" + "evil\u202e" * 9000), exit_code=1, gpus=2)
    assert read.verdict is Verdict.FAIL
    assert len(read.value) <= 400
    assert read.value.isprintable()
