"""The command line: what can be asked, and nothing of how it is done. Imports stay light, for a first frame soon.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 blocked or refused, 4 unreachable or not permitted.
JSON goes to stdout, everything else to stderr. A command that is not a terminal's never asks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from fleet import __version__
from tui.moment import moment
from tui.streams import settle
from tui.toml_section import span

VERBS = ("gate", "cordon", "uncordon", "drain", "reimage", "retire")


def parser() -> argparse.ArgumentParser:
    """The whole grammar. A command's parser sets `command`; none given is the dashboard."""
    top = argparse.ArgumentParser(
        prog="quarterdeck",
        description="The on-call console for GPU fleets.",
        epilog="exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 blocked or refused, "
        "4 unreachable or not permitted",
    )
    top.add_argument("--version", action="version", version=f"quarterdeck {__version__}")
    _global_options(top, default=True)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    _demo(commands)
    _sim(commands)
    _drill(commands)
    _nodes(commands)
    _verbs(commands)
    _operations(commands)
    _reading(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    settle()
    asked = parser().parse_args(arguments)
    from tui.run import run  # what a command needs is loaded once it is known

    sys.exit(run(asked))


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, does: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
    _global_options(command, default=False)
    return command


def _global_options(to: argparse.ArgumentParser, *, default: bool) -> None:
    """The options that stand before or after the command alike."""
    none = None if default else argparse.SUPPRESS
    off = False if default else argparse.SUPPRESS
    options = to.add_argument_group("which fleet")
    options.add_argument("--config", type=Path, default=none, metavar="FILE", help="the settings (TOML)")
    options.add_argument("--kubeconfig", type=Path, default=none, metavar="FILE", help="as kubectl's")
    options.add_argument(
        "--context",
        action="append",
        default=none,
        metavar="NAME",
        help="a kubeconfig context; may be repeated",
    )
    options.add_argument(
        "--slurm", action="store_true", default=off, help="the Slurm cluster whose scontrol is on the PATH"
    )
    options.add_argument("--prometheus", default=none, metavar="URL", help="where GPU metrics are asked for")
    options.add_argument("--dcgm", default=none, metavar="URL", help="a dcgm-exporter page, scraped directly")
    options.add_argument("--nvml", action="store_true", default=off, help="this host's own GPUs, alone")
    options.add_argument(
        "--read-only", action="store_true", default=off, help="change nothing, whatever key is pressed"
    )
    options.add_argument("--theme", choices=("dark", "light", "colour-blind", "ascii"), default=none)


def _sim_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("--nodes", type=_whole(1, 1_000_000), default=60, metavar="N", help="how many nodes (60)")
    to.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed gives the same fleet (1)")
    to.add_argument(
        "--speed", type=_positive, default=1.0, metavar="X", help="how fast simulated time runs (1)"
    )


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _sim_options(_command(commands, "demo", "the dashboard on a simulated fleet of its own"))


def _sim(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sim = _command(commands, "sim", "serve a simulated fleet until interrupted")
    _sim_options(sim)
    sim.add_argument(
        "--port",
        type=_whole(0, 65_534),
        default=0,
        metavar="P",
        help="the port of the API on 127.0.0.1 (any free one); the metrics are on P+1",
    )
    sim.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)


def _drill(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    drill = _command(
        commands,
        "drill",
        "a guided walk with the console's own keys, on a simulated fleet or the cluster named",
    )
    drill.add_argument(
        "name", nargs="?", default="lifecycle", metavar="NAME", help="a drill, or a FILE of one, or `list`"
    )
    drill.add_argument(
        "--auto", action="store_true", help="no dashboard: exit 0 only when every checkpoint was observed"
    )
    drill.add_argument(
        "--report", type=Path, default=None, metavar="FILE", help="write the report there; .json for JSON"
    )
    drill.add_argument("--json", action="store_true", help="with --auto or list: as JSON")
    _sim_options(drill)
    drill.set_defaults(nodes=20, speed=None)


def _nodes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    nodes = _command(commands, "nodes", "list nodes, all or those of a selection")
    nodes.add_argument("selection", nargs="*", metavar="SELECTION", help="like category=h100 gpu_temp>85")
    nodes.add_argument("--json", action="store_true")
    drift = _command(
        commands, "drift", "versions by category, the odd ones named; exit 1 where there are any"
    )
    drift.add_argument("selection", nargs="*", metavar="SELECTION", help="like category=h100")
    drift.add_argument("--json", action="store_true")
    timeline = _command(commands, "timeline", "what happened to a node, from every source that can tell")
    timeline.add_argument("node", metavar="NODE")
    timeline.add_argument(
        "--since",
        type=_back,
        default=timedelta(days=7),
        metavar="SPAN",
        help="how far back, like 24h or 30d (7d)",
    )
    timeline.add_argument("--newest-first", action="store_true", help="the latest on top")
    timeline.add_argument("--local", action="store_true", help="times of this machine's zone; else UTC")
    form = timeline.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true", help="for the incident note")


def _verbs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    plan = _command(commands, "plan", "show what a verb would do and cost; exit 0 free to run, 3 blocked")
    plan.add_argument("verb", choices=VERBS)
    plan.add_argument("nodes", nargs="+", metavar="NODE")
    _verb_options(plan)
    run = _command(commands, "run", "do a verb, journalled, to its end")
    run.add_argument("verb", choices=VERBS)
    run.add_argument("nodes", nargs="+", metavar="NODE")
    run.add_argument("--reason", required=True, metavar="TEXT", help="why, written on the node")
    _confirm_options(run)
    _verb_options(run)
    provision = _command(commands, "provision", "make a new gated node, on a simulated or KWOK fleet only")
    provision.add_argument("name")
    provision.add_argument("--category", required=True, metavar="C")
    provision.add_argument("--image", default=None, metavar="IMAGE")
    provision.add_argument("--reason", default="provisioned", metavar="TEXT")
    _confirm_options(provision)
    provision.add_argument("--json", action="store_true")
    gate = _command(commands, "gate", "check nodes; exit 1 on FAIL, 3 on UNKNOWN")
    gate.add_argument("nodes", nargs="+", metavar="NODE")
    gate.add_argument("--check", action="store_true", help="write nothing, only say the verdict")
    gate.add_argument("--reason", default=None, metavar="TEXT", help="why; asked for with --accept")
    gate.add_argument(
        "--accept",
        default=None,
        metavar="CHECK",
        help="let this check stay UNKNOWN for a time, typed and audited",
    )
    gate.add_argument(
        "--expires",
        type=_when,
        default=None,
        metavar="WHEN",
        help="until when, like 4h or 2026-03-01T09:30Z (8h)",
    )
    gate.add_argument(
        "--repaired", default=None, metavar="TEXT", help="what was mended: evidence for the fault on record"
    )
    gate.add_argument(
        "--history", action="store_true", help="past verdicts whole, from the journal alone; checks nothing"
    )
    gate.add_argument("--limit", type=_whole(1, 10_000), default=20, metavar="N", help="with --history (20)")
    _confirm_options(gate)
    gate.add_argument("--json", action="store_true")


def _confirm_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("--yes", action="store_true", help="confirmed: do not ask")
    to.add_argument("--plan", default=None, metavar="HASH", help="the hash of the plan that was read")


def _verb_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("--json", action="store_true")
    to.add_argument("--to", default=None, metavar="IMAGE", help="the image to put on (reimage)")
    to.add_argument(
        "--skip-blocked", action="store_true", help="leave out nodes that are blocked, naming them"
    )
    to.add_argument(
        "--take-over", action="append", default=None, metavar="HOLDER", help="lift this holder's hold too"
    )
    drain = to.add_argument_group("moving work away (drain, reimage, retire), as kubectl drain's")
    drain.add_argument("--ignore-daemonsets", action=argparse.BooleanOptionalAction, default=True)
    drain.add_argument("--delete-emptydir-data", action="store_true")
    drain.add_argument("--force", action="store_true", help="also pods that nothing would bring back")
    drain.add_argument(
        "--requeue", action="store_true", help="Slurm: start jobs anew elsewhere, rather than wait for them"
    )
    drain.add_argument("--grace-period", type=_whole(-1, 31_536_000), default=None, metavar="SECONDS")
    drain.add_argument(
        "--timeout", type=_span, default=None, metavar="SPAN", help="the deadline, like 90s or 1h30m"
    )


def _operations(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _command(commands, "operations", "list operations, newest first").add_argument(
        "--json", action="store_true"
    )
    resume = _command(commands, "resume", "go on with an operation that was interrupted")
    resume.add_argument("operation", metavar="OPERATION")
    resume.add_argument("--yes", action="store_true", help="confirmed: do not ask")
    resume.add_argument("--json", action="store_true")
    cancel = _command(commands, "cancel", "cancel an operation, by the program that runs it")
    cancel.add_argument("operation", metavar="OPERATION")
    cancel.add_argument("--json", action="store_true")
    audit = _command(commands, "audit", "who did what, when, and what came of it")
    audit.add_argument("--json", action="store_true")
    audit.add_argument("--limit", type=_whole(1, 1_000_000), default=200, metavar="N")


def _reading(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = _command(
        commands, "doctor", "can I reach it, may I, do the metrics join the nodes, which versions"
    )
    doctor.add_argument("--json", action="store_true")
    xid = _command(commands, "xid", "what an XID means and what to do, or what a kernel log on stdin holds")
    xid.add_argument("code", nargs="?", type=_xid_code, metavar="CODE", help="a number; - or none: a log")
    xid.add_argument("--json", action="store_true")


def _xid_code(text: str) -> str:
    if text != "-" and not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise argparse.ArgumentTypeError("must be the number of an XID, or - for a log on stdin")
    return text


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within bounds."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return number

    return read


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 100_000:
        raise argparse.ArgumentTypeError(f"must be a number from above 0 to 100000, not {text!r}")
    return number


def _back(text: str) -> timedelta:
    return _span_of(text, "must be more than nothing")


def _when(text: str) -> timedelta | datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor a moment like 2026-03-01T09:30Z") from error


def _span(text: str) -> timedelta:
    return _span_of(text, "must be more than nothing: a drain has a deadline")


def _span_of(text: str, nothing: str) -> timedelta:
    try:
        found = span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if found <= timedelta(0):
        raise argparse.ArgumentTypeError(nothing)
    return found


if __name__ == "__main__":
    main()
