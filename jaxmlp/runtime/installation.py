"""The command that installs missing packages, in the way that jaxmlp itself was installed."""

import importlib.metadata
import json
import shlex
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = ["install_command"]

ROOT = Path(__file__).parents[2]


def install_command(extra: str = "", *packages: str) -> str:
    """The shell command that adds an extra of jaxmlp, and other packages, to this Python.

    Args:
        extra: as in pyproject.toml; "": none.
        packages: other requirements, such as "torch".
    """
    return " ".join([_installer(), *map(shlex.quote, [*(_requirement(extra) if extra else ()), *packages])])


def _distribution() -> Any:
    try:
        return importlib.metadata.distribution("jaxmlp")
    except importlib.metadata.PackageNotFoundError:
        return None


def _installer() -> str:
    """The install command for this Python: uv or pip. A virtual environment made by uv has no pip."""
    found, python = _distribution(), shlex.quote(sys.executable or "python3")
    if found is not None and (found.read_text("INSTALLER") or "").strip() == "uv":
        return f"uv pip install --python {python}"
    return f"{python} -m pip install"


def _requirement(extra: str) -> list[str]:
    """Jaxmlp with an extra, as it was given to the installer: a clone, an address, or a name in an index."""
    found = _distribution()
    if found is None:  # imported from a clone that was not installed
        return ["-e", f"{ROOT}[{extra}]"]
    text = found.read_text("direct_url.json")
    if text is None:
        return [f"jaxmlp[{extra}]"]
    origin = json.loads(text)
    url = origin["url"]
    if "dir_info" in origin:
        editable = ["-e"] if origin["dir_info"].get("editable") else []
        return [*editable, f"{url2pathname(urlsplit(url).path)}[{extra}]"]
    if "vcs_info" in origin:
        revision = origin["vcs_info"].get("requested_revision")
        url = f"{origin['vcs_info']['vcs']}+{url}{f'@{revision}' if revision else ''}"
    return [f"jaxmlp[{extra}] @ {url}"]
