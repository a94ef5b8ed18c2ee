"""Rules of the house that a linter does not have, as functions from a parsed file to what breaks them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from tests.house.source import dotted, imported

BROAD = {"Exception", "BaseException"}
WALL_AND_CHANCE = re.compile(
    r"datetime\.(datetime\.(now|utcnow|today)|date\.today)"
    r"|time\.(time|monotonic|perf_counter|sleep|process_time|localtime|ctime)(_ns)?"
    r"|random\.(?!Random$)\w+"
    r"|uuid\.uuid[14]|os\.urandom|secrets\.\w+"
)
WORN_OUT = {"manager", "helper", "helpers", "utils", "util", "data", "info", "process"}


def broad_excepts(tree: ast.Module) -> Iterator[int]:
    """Lines that catch everything: a bare except, one of Exception, or `suppress(Exception)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if None in caught or _names(caught) & BROAD:
                yield node.lineno
        elif isinstance(node, ast.Call) and _names([node.func]) == {"suppress"} and _names(node.args) & BROAD:
            yield node.lineno


def uninjected(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Uses of the wall clock, of a sleep or of chance that were not handed in; a mention counts as a use."""
    names = {local: full for local, full, _ in imported(tree)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            full = dotted(node, names)
            if full and WALL_AND_CHANCE.fullmatch(full):
                yield full, node.lineno
        elif isinstance(node, ast.Call):
            full = dotted(node.func, names)
            if full == "asyncio.sleep" and not _is_zero(node.args):
                yield "asyncio.sleep", node.lineno
            elif full == "random.Random" and not node.args and not node.keywords:
                yield "random.Random()", node.lineno


def worn_out_names(module: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names that say nothing of what the thing is."""
    if module.rpartition(".")[2] in WORN_OUT:
        yield module, 1
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("handle_"):
            yield node.name, node.lineno
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Utils")):
            yield node.name, node.lineno


def banners(source: str) -> Iterator[int]:
    """Comment lines that are drawn rather than said."""
    for number, line in enumerate(source.splitlines(), start=1):
        if re.match(r"\s*#\s*[-=#*~_]{4,}", line):
            yield number


def _names(nodes: Sequence[ast.expr | None]) -> set[str]:
    """The last part of each name: `Exception` of `builtins.Exception`."""
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in nodes if isinstance(node, ast.Name)}


def _is_zero(arguments: list[ast.expr]) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], ast.Constant) and arguments[0].value == 0
