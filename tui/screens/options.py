"""How a verb is to be done, as switches and lines: drain's filters under kubectl's names, the image, whose hold is taken over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from fleet.plan import DrainOptions, Options, Verb
from tui.moment import moment
from tui.screens.forms import Field, Toggle
from tui.toml_section import span
from widgets.glyphs import Glyphs

MOVES_WORK = (Verb.DRAIN, Verb.REIMAGE, Verb.RETIRE)


@dataclass(frozen=True, slots=True)
class Offered:
    """What can be chosen: the verb, the image that is wanted of the nodes, and the foreign holders found on them.

    `fault`: one of them has a fault on record that asks for evidence. `jobs` and `pods` say what runs on them: jobs of a batch
    system, which end in their own time or start anew, or pods.
    """

    verb: Verb
    image: str = ""
    holders: tuple[str, ...] = ()
    jobs: bool = False
    pods: bool = True
    fault: bool = False


class OptionsPanel(Vertical):
    """Asks for the options of one verb. Empty for a verb that has none."""

    DEFAULT_CSS = """
    OptionsPanel { height: auto; }
    OptionsPanel > .line { height: 1; }
    OptionsPanel > .line > Toggle { width: auto; }
    """

    class Changed(Message):
        """Other options were chosen."""

        def __init__(self, options: Options) -> None:
            super().__init__()
            self.options = options

    class Wrong(Message):
        """What was typed can't be read, and why."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(self, offered: Offered, options: Options, glyphs: Glyphs) -> None:
        super().__init__()
        self._offered = offered
        self._options = options
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        verb = self._offered.verb
        if verb is Verb.REIMAGE:
            yield Field("--to", hint=self._offered.image or "none is desired", name="image")
        if verb is Verb.GATE and not self._options.check_only:
            yield from self._vouching()
        if verb in MOVES_WORK:
            yield from self._drain()
        for holder in self._offered.holders if verb is Verb.UNCORDON else ():
            yield Toggle(f"take over from {holder}  --take-over", self._glyphs, name=f"holder {holder}")

    @property
    def any(self) -> bool:
        """Whether the verb has options here."""
        return bool(self.children)

    def _vouching(self) -> Iterator[Widget]:
        """A person's word: a check that may stay UNKNOWN, and what was mended where a fault asks for evidence."""
        yield Field("--accept", hint="a check that is UNKNOWN, to let it stay so for a time", name="accept")
        yield Field("--expires", hint="until when that holds: 8h, or 2026-03-01T09:30Z", name="expires")
        if self._offered.fault:
            yield Field("--repaired", hint="what was mended since it failed", name="repaired")

    def _drain(self) -> Iterator[Widget]:
        drain, glyphs = self._options.drain, self._glyphs
        pods, jobs = self._offered.pods, self._offered.jobs
        if jobs:
            with Horizontal(classes="line"):
                yield Toggle(
                    "--requeue jobs, to start anew elsewhere", glyphs, on=drain.requeue, name="requeue"
                )
                if not pods:
                    yield Toggle("--force: lose the others", glyphs, on=drain.force, name="force")
        if pods:
            with Horizontal(classes="line"):
                yield Toggle(
                    "--ignore-daemonsets", glyphs, on=drain.ignore_daemonsets, name="ignore_daemonsets"
                )
                yield Toggle(
                    "--delete-emptydir-data", glyphs, on=drain.delete_emptydir, name="delete_emptydir"
                )
                yield Toggle("--force", glyphs, on=drain.force, name="force")
        with Horizontal(classes="line"):
            if pods:
                yield Field("--grace-period", hint="each pod's own", name="grace")
            yield Field("--timeout", hint="the category's", name="deadline", wide=12)

    def on_toggle_changed(self, message: Toggle.Changed) -> None:
        message.stop()
        self.tell()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.tell()

    def tell(self) -> None:
        """Read what is chosen now and post it."""
        try:
            options = self._read()
        except ValueError as error:
            self.post_message(self.Wrong(str(error)))
            return
        if options != self._options:
            self._options = options
            self.post_message(self.Changed(options))

    def _read(self) -> Options:
        on = {toggle.about: toggle.on for toggle in self.query(Toggle)}
        typed = {field.about: field.value for field in self.query(Field)}
        drain = DrainOptions(
            ignore_daemonsets=on.get("ignore_daemonsets", True),
            delete_emptydir=on.get("delete_emptydir", False),
            force=on.get("force", False),
            grace=_span(typed.get("grace", ""), "--grace-period"),
            deadline=_deadline(typed.get("deadline", "")),
            requeue=on.get("requeue", False),
        )
        expires = _expires(typed.get("expires", ""))
        holders = tuple(holder for holder in self._offered.holders if on.get(f"holder {holder}"))
        return replace(
            self._options,
            drain=drain,
            image=typed.get("image") or self._options.image,
            take_over=holders,
            accept=typed.get("accept", ""),
            accept_for=expires if isinstance(expires, timedelta) else None,
            accept_until=expires if isinstance(expires, datetime) else None,
            repaired=typed.get("repaired", ""),
        )


def _span(text: str, name: str) -> timedelta | None:
    if not text:
        return None
    try:
        return span(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _expires(text: str) -> timedelta | datetime | None:
    if not text:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise ValueError(f"--expires: {error}") from error


def _deadline(text: str) -> timedelta | None:
    found = _span(text, "--timeout")
    if found is not None and found <= timedelta(0):
        raise ValueError("--timeout: must be more than nothing: a drain has a deadline")
    return found
