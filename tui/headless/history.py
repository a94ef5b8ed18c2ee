"""operations and audit: what was done, by whom, and what came of it, from the journal alone."""

from __future__ import annotations

import argparse
from datetime import UTC

from fleet.ports import Journal
from fleet.text import clean
from tui.exits import DONE
from tui.headless.judgements import judgement_lines, judgement_shape
from tui.headless.shapes import operation_shape, put, record_shape
from tui.headless.words import table, tell

AUDIT_HEAD = ("TIME (UTC)", "BY", "OPERATION", "RECORD", "VERB", "NODE", "STATE", "SAYS")


async def operations(journal: Journal, asked: argparse.Namespace) -> int:
    """`operations`: newest first. One that was interrupted says how to go on."""
    found = await journal.operations()
    if asked.json:
        put([operation_shape(operation) for operation in found])
        return DONE
    rows = [
        (
            operation.id,
            operation.plan.verb.value,
            operation.state.value,
            f"{operation.started.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            operation.plan.request.by,
            str(len(operation.plan.nodes)),
            operation.says or operation.plan.request.reason,
        )
        for operation in found
    ]
    for line in table(("OPERATION", "VERB", "STATE", "STARTED (UTC)", "BY", "NODES", "SAYS"), rows):
        print(line)  # noqa: T201 - the table is what was asked for
    if any(operation.state.value == "interrupted" for operation in found):
        tell("an interrupted operation goes on with: quarterdeck resume OPERATION")
    return DONE


async def verdicts(journal: Journal, asked: argparse.Namespace) -> int:
    """`gate NODE... --history`: past verdicts with every finding and threshold as it was, and people's words, newest first."""
    found = [record for name in asked.nodes for record in await journal.judgements(name, asked.limit)]
    if asked.json:
        put([judgement_shape(record) for record in found])
        return DONE
    for record in found:
        for line in judgement_lines(record):
            print(line)  # noqa: T201 - the record is what was asked for
    for name in asked.nodes:
        if not any(record.node == name for record in found):
            tell(f"{clean(name)}: the journal of this machine knows no verdict of it")
    return DONE


async def audit(journal: Journal, asked: argparse.Namespace) -> int:
    """`audit`: every record, newest first."""
    found = await journal.records(asked.limit)
    if asked.json:
        put([record_shape(record) for record in found])
        return DONE
    rows = [
        (
            f"{record.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            record.by,
            record.operation,
            record.kind.value,
            record.verb,
            record.node,
            record.state,
            record.says,
        )
        for record in found
    ]
    for line in table(AUDIT_HEAD, rows):
        print(line)  # noqa: T201 - the table is what was asked for
    return DONE
