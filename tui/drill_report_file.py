"""Writes a drill's report to the file that was asked for: text, or JSON where its name ends so."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fleet.drill_report import DrillReport, shape_of_report, text_of_report
from tui.toml_section import BadSettings


def check_report_file(file: Path) -> None:
    """Say before a walk begins that its report can't be written. Raises BadSettings."""
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise BadSettings(
            file, "", "the report can't be written there: expected a file in a folder that is there"
        )


def write_report(report: DrillReport, file: Path) -> None:
    """Write it. Raises BadSettings where the file can't be written."""
    if file.suffix == ".json":
        text = json.dumps(shape_of_report(report), indent=2, ensure_ascii=False)
    else:
        text = "\n".join(text_of_report(report))
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadSettings(file, "", f"the report can't be written: {error.strerror}") from error
