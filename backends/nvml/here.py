"""What the operating system says of this host, read once: its name, boot and versions."""

from __future__ import annotations

import platform
from pathlib import Path

from backends.nvml.convert import Here

_LOOPBACK = ("", "localhost", "localhost.localdomain")


def this_host() -> Here:
    """This host. One that calls itself localhost is `this-host`, for no series is ever joined to that name."""
    name = platform.node()
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        system = ""
    return Here(
        name="this-host" if name in _LOOPBACK else name,
        machine=_line("/etc/machine-id"),
        boot_id=_line("/proc/sys/kernel/random/boot_id"),
        kernel=platform.release(),
        os_image=system,
    )


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
