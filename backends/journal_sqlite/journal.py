"""The journal in one SQLite file: WAL, synchronous=FULL, one writer thread, so that a record is durable on return.

Several programs may have the file open (a dashboard and a command); SQLite's own lock orders their writes.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from backends.journal_sqlite.claims import Claims
from backends.journal_sqlite.codec import decode, encode
from fleet.errors import Garbled, JournalFailed
from fleet.journal import Kind, Record, fold
from fleet.node import NodeKey
from fleet.operation import Operation, OperationState

SCHEMA = 1

_CREATE = """
create table if not exists records (
    id integer primary key,
    at text not null,
    kind text not null,
    operation text not null,
    by text not null,
    verb text not null,
    source text not null,
    identity text not null,
    node text not null,
    step_id text not null,
    state text not null,
    says text not null,
    evidence text not null,
    plan text,
    step text
);
create index if not exists records_by_operation on records (operation);
create index if not exists records_begun on records (operation) where kind = 'started';
create index if not exists records_by_node on records (node);
create index if not exists records_by_time on records (at);
"""

_COLUMNS = "at, kind, operation, by, verb, source, identity, node, step_id, state, says, evidence, plan, step"
_BUSY_SECONDS = 10.0

T = TypeVar("T")


class SqliteJournal:
    """A `fleet.ports.Journal` in the file `path`, made with its folder (mode 0700) where it is not there yet.

    Raises JournalFailed naming the file, at opening too, so that nothing is begun that can't be written down.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._connection: sqlite3.Connection | None = None
        self._claims = Claims(path.with_suffix(".running"))

    async def append(self, records: Sequence[Record]) -> None:
        """Write `records` in one transaction; durable on return."""
        await self._in_thread(lambda connection: _insert(connection, records))

    async def records(self, limit: int = 1000) -> Sequence[Record]:
        """The audit trail, newest first, without plans (an operation has its own)."""
        return await self._in_thread(lambda connection: _newest(connection, limit))

    async def operations(self, limit: int = 200) -> Sequence[Operation]:
        """The last `limit` operations, newest first; one with no end is RUNNING where a live program owns it, else INTERRUPTED."""
        return await self._in_thread(lambda connection: self._told(_of_operations(connection, limit)))

    async def unfinished(self, limit: int = 50) -> Sequence[Operation]:
        """The last `limit` operations without an end, newest first."""
        return await self._in_thread(lambda connection: self._told(_unfinished(connection, limit)))

    async def operation(self, operation: str) -> Operation | None:
        """One operation as its records tell; None where there is none of that id."""
        found = await self._in_thread(lambda connection: fold(_of_operation(connection, operation)))
        return found[0] if found else None

    async def owner(self, operation: str) -> str | None:
        """The live program that runs it; None where none does."""
        return await self._in_thread(lambda _: self._claims.owner(operation))

    async def cancels(self, operations: Collection[str]) -> Mapping[str, str]:
        """Who asked to cancel which of these operations, since each was last begun or resumed."""
        return await self._in_thread(lambda connection: _cancels(connection, operations))

    async def of_node(self, node: NodeKey, since: datetime | None = None) -> Sequence[Record]:
        """The records of one node, oldest first, with the beginning (its evidence: the plan's hash) and end of each operation."""
        return await self._in_thread(lambda connection: _of_node(connection, node, since))

    async def judgements(self, node: str, limit: int = 20) -> Sequence[Record]:
        """Verdicts and people's words on nodes of this name, newest first, with the state and the words of how each ended."""
        return await self._in_thread(lambda connection: _judgements(connection, node, limit))

    async def since(self, at: datetime) -> Sequence[Record]:
        """Every record of a node from `at` on, oldest first, without plans."""
        return await self._in_thread(lambda connection: _since(connection, at))

    async def own(self, operation: str, owner: str) -> None:
        """Claim the operation until `disown` or the end of this program. Raises Conflict naming its live owner."""
        await self._in_thread(lambda _: self._claims.claim(operation, owner))

    async def disown(self, operation: str) -> None:
        """Give the operation up."""
        await self._in_thread(lambda _: self._claims.release(operation))

    async def close(self) -> None:
        """Close the file, after what was asked before."""
        await self._off_loop(self._end)
        self._thread.shutdown(wait=False)

    def _told(self, records: Sequence[Record]) -> Sequence[Operation]:
        return tuple(self._with_owner(operation) for operation in fold(records))

    def _with_owner(self, operation: Operation) -> Operation:
        unended = operation.state is OperationState.INTERRUPTED
        owner = self._claims.owner(operation.id) if unended else None
        return operation if owner is None else replace(operation, state=OperationState.RUNNING, owner=owner)

    def _end(self) -> None:
        self._claims.release_all()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._off_loop(lambda: self._do(work))

    async def _off_loop(self, work: Callable[[], T]) -> T:
        try:
            asked = asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError as error:
            raise JournalFailed("the journal is closed", about=str(self._path)) from error
        return await asyncio.shield(asked)

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = _open(self._path)
            return work(self._connection)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise JournalFailed(f"the journal can't be used: {error}", about=str(self._path)) from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    with path.with_suffix(".lock").open("w") as lock:
        # SQLite gives up at once, whatever its timeout, when two programs switch a new file to WAL together.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        version = _version(connection, path)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.executescript(_CREATE)
        if version != SCHEMA:
            connection.execute(f"pragma user_version={SCHEMA}")
    except (sqlite3.Error, JournalFailed):
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("pragma user_version").fetchone()[0]
    if version > SCHEMA:
        raise JournalFailed("a newer Quarterdeck wrote this journal", about=str(path))
    return version


def _insert(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    rows = [_row(record) for record in records]
    marks = ", ".join("?" * len(_COLUMNS.split(", ")))
    connection.execute("begin immediate")
    try:
        connection.executemany(f"insert into records ({_COLUMNS}) values ({marks})", rows)  # noqa: S608 - constants
        connection.execute("commit")
    finally:
        if connection.in_transaction:  # it failed, and not by a full disk, which rolls back by itself
            connection.execute("rollback")


def _row(record: Record) -> tuple[Any, ...]:
    texts = (
        record.operation,
        record.by,
        record.verb,
        record.source,
        record.identity,
        record.node,
        record.step_id,
        record.state,
        record.says,
        record.evidence,
    )
    return (
        record.at.isoformat(),
        record.kind.value,
        *(_text(text) for text in texts),
        encode(record.plan) if record.plan else None,
        encode(record.step) if record.step else None,
    )


def _text(text: str) -> str:
    """`text` with half characters made visible: a shell's undecodable bytes come as such, and SQLite takes none."""
    return text.encode(errors="backslashreplace").decode()


def _newest(connection: sqlite3.Connection, limit: int) -> list[Record]:
    found = connection.execute(
        f"select {_COLUMNS} from records order by id desc limit ?",  # noqa: S608 - constants
        (limit,),
    )
    return [_record((*row[:-2], None, None)) for row in found]


def _of_node(connection: sqlite3.Connection, node: NodeKey, since: datetime | None) -> list[Record]:
    name, source, at = _text(node.name), _text(node.source), since.isoformat() if since is not None else ""
    # A plan of thousands of nodes takes long to read whole, and this thread is the one that writes.
    plan_hash = "case when plan is not null and json_valid(plan) then json_extract(plan, '$.hash') end"
    found = connection.execute(
        f"""select {_COLUMNS}, {plan_hash} from records where at >= ? and operation in
            (select operation from records where node = ? and source = ?)
            and ((node = ? and source = ?) or node = '') order by id""",  # noqa: S608 - constants
        (at, name, source, name, source),
    )
    return [replace(_record((*row[:-3], None, None)), evidence=row[-4] or row[-1] or "") for row in found]


def _judgements(connection: sqlite3.Connection, node: str, limit: int) -> list[Record]:
    columns = ", ".join(f"i.{column}" for column in _COLUMNS.split(", "))
    found = connection.execute(
        f"""select {columns}, o.state, o.says from records i
            left join records o on o.id = (select min(id) from records where operation = i.operation and kind = 'outcome'
                and step_id = i.step_id and node = i.node and source = i.source and id > i.id)
            where i.kind = 'intent' and i.node = ? and json_valid(i.step)
            and json_extract(i.step, '$.action."$"') in ('ApplyVerdict', 'Attest') order by i.id desc limit ?""",  # noqa: S608 - constants
        (_text(node), limit),
    )
    return [_as_it_ended(_record(row[:-2]), row[-2], row[-1]) for row in found]


def _as_it_ended(intent: Record, state: str | None, says: str | None) -> Record:
    """An intent with the state and words of its outcome; one that never ended stays an intent."""
    return intent if state is None else replace(intent, state=state, says=says or intent.says)


def _since(connection: sqlite3.Connection, at: datetime) -> list[Record]:
    found = connection.execute(
        f"select {_COLUMNS} from records where at >= ? and node <> '' order by id",  # noqa: S608 - constants
        (at.isoformat(),),
    )
    return [_record((*row[:-2], None, None)) for row in found]


def _of_operations(connection: sqlite3.Connection, limit: int) -> list[Record]:
    found = connection.execute(
        f"""select {_COLUMNS} from records where operation in
            (select operation from records where kind = 'started' order by id desc limit ?) order by id""",  # noqa: S608 - constants
        (limit,),
    )
    return [_record(row) for row in found]


def _unfinished(connection: sqlite3.Connection, limit: int) -> list[Record]:
    found = connection.execute(
        f"""select {_COLUMNS} from records where operation in (
            select operation from records as begun where kind = 'started' and 'ended' <> (
                select kind from records where operation = begun.operation and kind in ('started', 'resumed', 'ended')
                order by id desc limit 1)
            order by id desc limit ?) order by id""",  # noqa: S608 - constants
        (limit,),
    )
    return [_record(row) for row in found]


def _cancels(connection: sqlite3.Connection, operations: Collection[str]) -> dict[str, str]:
    marks = ", ".join("?" * len(operations))
    found = connection.execute(
        f"""select operation, by from records as asked where kind = 'cancel-asked' and operation in ({marks})
            and id > (select max(id) from records where operation = asked.operation and kind in ('started', 'resumed'))
            order by id desc""",  # noqa: S608 - only marks
        [_text(operation) for operation in operations],
    )
    return dict(found.fetchall())


def _of_operation(connection: sqlite3.Connection, operation: str) -> list[Record]:
    found = connection.execute(
        f"select {_COLUMNS} from records where operation = ? order by id",  # noqa: S608 - constants
        (_text(operation),),
    )
    return [_record(row) for row in found]


def _record(row: tuple[Any, ...]) -> Record:
    """A row as a record. A plan or step that can't be read any more is left out, and the record says so."""
    at, kind, operation, by, verb, source, identity, node, step_id, state, says, evidence, plan, step = row
    values: list[Any] = []
    for text in (plan, step):
        try:
            values.append(decode(text) if text else None)
        except Garbled as error:
            values.append(None)
            says = f"{says} ({error})"
    return Record(
        at=datetime.fromisoformat(at),
        kind=Kind(kind),
        operation=operation,
        by=by,
        verb=verb,
        source=source,
        identity=identity,
        node=node,
        step_id=step_id,
        state=state,
        says=says,
        evidence=evidence,
        plan=values[0],
        step=values[1],
    )
