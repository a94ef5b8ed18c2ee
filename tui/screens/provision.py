"""Asks for a new node's name, category and image. What it would do is shown by the confirm screen that follows."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from fleet.node import NodeKey
from fleet.plan import Options
from tui.screens.forms import Field
from tui.session import Session
from widgets.key_footer import KeyFooter, KeyHint
from widgets.lines import text_of
from widgets.sheet import TextSheet
from widgets.tones import Tone

Asked = tuple[NodeKey, Options]


class ProvisionScreen(ModalScreen[Asked | None]):
    """Dismissed with a node and the options to make it with; with None where nothing is to be made."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "stay", show=False)]

    def __init__(
        self, session: Session, source: str, category: str = "", name: str = "", image: str = ""
    ) -> None:
        super().__init__()
        self._session = session
        self._source = source
        self._category = category
        self._name_given = name
        self._image = image

    def compose(self) -> ComposeResult:
        rows = self._session.deck.store.rows()
        known = sorted({row.node.category for row in rows} | set(self._session.deck.policy.categories))
        with Vertical(classes="box"):
            yield TextSheet(classes="title")
            yield Field("name", value=self._name_given, hint="a name that is not taken", name="name")
            yield Field("category", value=self._category, suggestions=known, name="category")
            yield Field("image", value=self._image, hint="the one the category wants", name="image")
            yield TextSheet(id="wrong")
            yield KeyFooter()

    def on_mount(self) -> None:
        self.query_one(".title", TextSheet).show(text_of([[("A new node, behind the gate", Tone.STRONG)]]))
        self.query_one(KeyFooter).show(
            [KeyHint("enter", "Show the plan"), KeyHint("esc", "Back, nothing done")]
        )
        self.query(Field).first().line.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        fields = {field.about: field for field in self.query(Field)}
        for name in ("name", "category"):
            if not fields[name].value:
                fields[name].line.focus()
                self.query_one("#wrong", TextSheet).show(
                    text_of([[(f" its {name} is asked for", Tone.WARN)]])
                )
                return
        options = Options(category=fields["category"].value, image=fields["image"].value or None)
        self.dismiss((NodeKey(self._source, fields["name"].value), options))

    def action_stay(self) -> None:
        self.dismiss(None)
