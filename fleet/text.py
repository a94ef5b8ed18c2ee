"""Makes texts from outside fit to keep and to paint.

Labels, Reasons and messages come from whoever could write them: they may hold terminal escapes, bidirectional
overrides or forty thousand characters. Markup is not this module's affair: it is text, and painters paint it as text.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor moves
    "|\x1b[\\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"  # OSC, DCS, SOS, PM, APC with their strings
    "|\x1b[ -/]*[0-~]?"
    "|\x9b[0-?]*[ -/]*[@-~]?"
    "|[\x9d\x90\x98\x9e\x9f][^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"
)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
ELLIPSIS = "…"


def clean(text: str, limit: int = 1024) -> str:
    """`text` on one line, without escape sequences, control or bidirectional characters, at most `limit` long.

    Runs of control characters (newlines, tabs) become one space. What is cut off is marked with an ellipsis.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text[: limit * 4])
    text = _INVISIBLE.sub("", _CONTROLS.sub(" ", text)).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS
