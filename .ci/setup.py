"""Make `.venv` from `uv.lock`, with what the machine has: uv, or pip, or neither.

uv installs straight from the lock. Where there is no uv, or where pip is configured for an index of its own (the
lock names the public one's files, so uv would pass a mirror by), pip installs the same versions, checked by hash.
No step needs root; apt is the last resort for a pip that can't be fetched. Standard library only.
"""

from __future__ import annotations

import configparser
import fcntl
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".quarterdeck-setup"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
REACH = "check the network; behind a mirror or a proxy set PIP_INDEX_URL, PIP_PROXY and PIP_CERT"


class SetupFailed(Exception):
    """What is missing, and what to do about it."""

    def __init__(self, missing: str, cure: str) -> None:
        super().__init__(missing)
        self.cure = cure


def say(line: str) -> None:
    sys.stderr.write(f"setup: {line}\n")


def call(*command: str | Path, failing: str = "", cure: str = "") -> bool:
    """Run quietly; on failure show the last lines, and raise where `failing` says what that means."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        code, said = 127, str(error)
    else:
        code, said = done.returncode, done.stdout
    if code == 0:
        return True
    for line in said.strip().splitlines()[-12:]:
        say(f"  | {line}")
    if failing:
        raise SetupFailed(failing, cure)
    return False


def environment() -> dict[str, str]:
    """Ours, with the machine's certificates for the clients that would bring their own."""
    found = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    found |= {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1"}
    own = pip_setting("cert")
    if own:
        found.setdefault("SSL_CERT_FILE", own)
    elif CERTIFICATES.exists():
        found["PIP_CERT"] = str(CERTIFICATES)
    return found


def pip_setting(name: str) -> str | None:
    """One of pip's settings, from its environment variable or its files (pip may not be there to be asked)."""
    told = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
    if told:
        return told
    home = Path.home()
    files = [
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
        Path("/etc/pip.conf"),
        Path("/etc/xdg/pip/pip.conf"),
    ]
    for file in [Path(os.environ.get("PIP_CONFIG_FILE", os.devnull)), *files]:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        for section in ("install", "global"):
            value = parser.get(section, name, fallback=None)
            if value:
                return value
    return None


def wanted(what: str) -> str:
    """What the stamp holds when this very environment was made."""
    made_of = hashlib.sha256()
    for file in ("uv.lock", "pyproject.toml", ".ci/setup.py"):
        made_of.update((ROOT / file).read_bytes())
    return f"{ROOT} {what} {made_of.hexdigest()}"


def works() -> bool:
    try:
        return (
            subprocess.run([VENV / "bin/python", "-c", ""], check=False, capture_output=True).returncode == 0
        )
    except OSError:
        return False


def already_made(what: str) -> bool:
    """A development environment serves to run the program too."""
    if not STAMP.is_file() or not (VENV / "bin/quarterdeck").exists():
        return False
    return STAMP.read_text() in {wanted(what), wanted("dev")} and works()


def drop_a_broken_environment() -> None:
    """Scripts in an environment name their interpreter by path, so neither it nor the folder may move."""
    if not VENV.exists():
        return
    moved = STAMP.is_file() and not STAMP.read_text().startswith(f"{ROOT} ")
    if moved or not works():
        say(".venv was made for another place or another Python: making it anew")
        shutil.rmtree(VENV)


def install_with_uv(uv: str, groups: list[str]) -> bool:
    say("uv installs the locked packages into .venv")
    if not VENV.exists() and not call(uv, "venv", "--quiet", "--python", sys.executable, VENV):
        return False
    return call(uv, "sync", "--quiet", "--frozen", "--inexact", "--compile-bytecode", *groups)


def install_with_pip(groups: list[str]) -> None:
    say("pip installs the locked packages into .venv")
    if not works():
        venv.create(VENV, symlinks=True)
    python = VENV / "bin/python"
    put_pip_into(python)
    pip = (str(python), "-m", "pip", "--quiet", "--disable-pip-version-check")
    call(*pip, "install", "uv>=0.8", failing="pip could not install uv, which reads the lock", cure=REACH)
    with tempfile.TemporaryDirectory() as folder:
        locked = Path(folder) / "locked.txt"
        export = (str(VENV / "bin/uv"), "export", "--quiet", "--frozen", "--no-emit-project", *groups)
        call(
            *export, "--output-file", locked, failing="uv could not read uv.lock", cure="git checkout uv.lock"
        )
        install = (*pip, "install", "--require-hashes", "--requirement", str(locked))
        call(*install, failing="pip could not install the locked packages", cure=REACH)
    editable = (*pip, "install", "--no-deps", "--editable", str(ROOT))
    call(*editable, failing="pip could not install Quarterdeck itself", cure=REACH)


def put_pip_into(python: Path) -> None:
    """By ensurepip; Debian keeps that in python3-venv, so else by fetching pip, else by apt."""
    for probe in (("-c", "import pip"), ("-m", "ensurepip")):
        if (
            subprocess.run([python, *probe], check=False, capture_output=True, env=environment()).returncode
            == 0
        ):
            return
    say("this Python comes without ensurepip: fetching pip")
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = fetch_pip(Path(folder))
            if call(
                python,
                f"{wheel}/pip",
                "--quiet",
                "--disable-pip-version-check",
                "install",
                "--no-index",
                wheel,
            ):
                return
    except (OSError, urllib.error.URLError, ValueError) as error:
        say(f"  | {error}")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") and (not root or call(*root, "true")):
        say("pip could not be fetched: installing python3-venv by apt")
        apt = (*root, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120")
        call(*apt, "update")
        call(*apt, "install", "-y", "--no-install-recommends", "python3-venv", "ca-certificates")
        if call(python, "-m", "ensurepip"):
            return
    raise SetupFailed(
        "no pip, and no way to get one", f"apt-get install python3-venv ca-certificates; {REACH}"
    )


def fetch_pip(folder: Path) -> Path:
    """One known pip, from the index that pip is configured for (PEP 503), checked by its hash."""
    index = pip_setting("index-url") or "https://pypi.org/simple"
    page = f"{index.rstrip('/')}/pip/"
    trust = ssl.create_default_context(cafile=pip_setting("cert"))
    listing = read(page, trust).decode()
    link = re.search(rf'href="([^"#]*{re.escape(PIP_WHEEL)})[#"]', listing)
    if link is None:
        raise ValueError(f"{PIP_WHEEL} is not listed at {page}")
    content = read(urllib.parse.urljoin(page, link[1]), trust)
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        raise ValueError(f"{PIP_WHEEL} from {page} is not the file it should be")
    wheel = folder / PIP_WHEEL
    wheel.write_bytes(content)
    return wheel


def read(url: str, trust: ssl.SSLContext) -> bytes:
    with urllib.request.urlopen(url, timeout=60, context=trust) as answer:  # noqa: S310 (pip takes file: too)
        content: bytes = answer.read()
    return content


def set_up(what: str) -> None:
    if already_made(what):
        return
    drop_a_broken_environment()
    groups = ["--group", "dev"] if what == "dev" else ["--no-dev"]
    uv = shutil.which("uv")
    uv_runs = (
        uv is not None and subprocess.run([uv, "--version"], check=False, capture_output=True).returncode == 0
    )
    if not (uv and uv_runs and pip_setting("index-url") is None and install_with_uv(uv, groups)):
        install_with_pip(groups)
    STAMP.write_text(wanted(what))
    say("done")


def main() -> int:
    if sys.argv[1:] not in (["run"], ["dev"]):
        say("usage: .ci/setup run|dev")
        return 2
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        set_up(sys.argv[1])
    except SetupFailed as error:
        say(str(error))
        say(f"what to do: {error.cure}")
        return 1
    except OSError as error:
        say(f"can't write here: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
