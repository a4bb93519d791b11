"""What the tests of commands share: what would be written, and what is drawn in a figure."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes

from experiments.support import command_line


def catch_writes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """From here on commands write nothing and make no folder: what they would write, by name. Spares the drawing."""
    caught: dict[str, Any] = {}

    def write(_: Path, files: dict[str, Any], __: Collection[str] = ()) -> str:
        caught.clear()
        caught.update(files)
        return f"wrote {', '.join(files)}"

    monkeypatch.setattr(command_line, "write", write)
    monkeypatch.setattr(command_line, "output_folder", Path)
    return caught


def legend_of(axes: Axes) -> list[str]:
    """The words of its legend."""
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]
