"""Real programs that some tests drive: found, or the test says why it did not run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps daemons; a plain user's PATH leaves them out."""


def require(program: str) -> Path:
    """Where `program` is. Without it the calling test skips with a line, or fails where CI promises it."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    found = shutil.which(program, path=folders)
    if found:
        return Path(found)
    reason = f"{program} is not installed (make servers installs what apt has)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
