"""The journal on disk: SQLite with one writer thread, durable when `append` returns."""

from backends.journal_sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]
