"""A sweep in words: how far it is, its best configurations as a table, the chosen one's test accuracy."""

import collections
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmlp import showing
from jaxmlp.sweep.findings import choosing
from jaxmlp.sweep.findings.choosing import Configuration, Interval, Row
from jaxmlp.text_table import aligned

__all__ = ["environments_line", "in_notebook", "label", "progress_line", "summary"]


def label(value: object) -> str:
    """A value of an axis, short."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def percent(found: Interval) -> str:
    """``91.3 (90.9..91.7)``, or the mean alone."""
    text = f"{100 * found.mean:.2f}"
    return text if np.isnan(found.low) else f"{text} ({100 * found.low:.2f}..{100 * found.high:.2f})"


def table(found: Sequence[Configuration], axes: Sequence[str], measures: tuple[str, str]) -> str:
    """Configurations, one per line."""
    return aligned(*cells(found, axes, measures))


def cells(
    found: Sequence[Configuration], axes: Sequence[str], measures: tuple[str, str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the lines of `table`."""
    axes = axes or ["hidden", "learning_rate"]
    lines = [
        (
            str(rank), *(label(item.values[axis]) for axis in axes), f"{len(item.rows)}/{item.trials}",
            short(item.loss.mean), percent(item.accuracy),
        )
        for rank, item in enumerate(found, 1)
    ]  # fmt: skip
    names = [name.replace("_", " ") for name in (*axes, "done", *measures)]
    return ("", *names[:-1], f"{names[-1]} % (95 % interval)"), lines


def short(loss: float) -> str:
    """A loss with four decimals, or three digits and an exponent where it is large."""
    return f"{loss:.4f}" if loss < 1e4 else f"{loss:.2e}"


def chosen_line(best: Configuration) -> str:
    """The test accuracy of the chosen configuration; no other configuration's is shown."""
    test = choosing.interval([row["test_accuracy"] for row in best.rows], 0, 1)
    return f"chosen: 1, test accuracy {percent(test)} % over {len(best.rows)} seed{'s' * (len(best.rows) != 1)}"


def in_notebook(rows: Sequence[Row], top: int = 10, by: str = "loss") -> str:
    """The same as `summary` in HTML, with how far the sweep is."""
    found = choosing.configurations(rows, by)
    if not found:
        return showing.page(progress_line(rows))
    told = showing.table(*cells(found[:top], choosing.varying(rows), choosing.measure_of(rows)))
    return showing.page(progress_line(rows), told, showing.lines([chosen_line(found[0]), *sure_line(found, by)]))


def summary(rows: Sequence[Row], top: int = 10, by: str = "loss") -> str:
    """The table of the ``top`` best configurations, the chosen one's test accuracy, and how sure the choice is."""
    found = choosing.configurations(rows, by)
    if not found:
        return "no trial is done yet"
    shown = table(found[:top], choosing.varying(rows), choosing.measure_of(rows))
    return "\n".join([shown, chosen_line(found[0]), *sure_line(found, by)])


def sure_line(found: Sequence[Configuration], by: str) -> list[str]:
    """What the seeds allow to say of the choice; nothing where there is one configuration."""
    seeds, words = len(found[0].rows), "by loss" if by == "loss" else "by accuracy"
    if len(found) == 1:
        return []
    if seeds == 1:
        return [f"chosen {words}; one seed each: the order may be luck, more --seeds would tell"]
    places = choosing.alike(found, by)
    if not places:
        return [f"chosen {words}; no other is as good, seed by seed (95 % intervals of the differences)"]
    named = ", ".join(map(str, places[:8])) + (", .." if len(places) > 8 else "")
    said = f"{len(places):,} of {len(found) - 1:,} others cannot be told from it"
    return [f"chosen {words}; with {seeds} seeds {said}, seed by seed (95 % intervals of the differences): {named}"]


def progress_line(rows: Sequence[Row]) -> str:
    """How far the sweep is: trials by status, and how many configurations are not begun."""
    if not rows:
        return "no trial"
    counts = collections.Counter(str(row["status"]) for row in rows)
    every, known = (
        {tuple(row[axis] for axis in choosing.AXES) for row in part}
        for part in (rows, [row for row in rows if row["status"] != "pending"])
    )
    missing = len(every - known)
    parts = [f"{counts['done']:,} of {len(rows):,} trials done"]
    parts += [f"{count:,} {status}" for status, count in counts.items() if status != "done"]
    parts += [f"{missing:,} configurations not begun"] if missing else []
    return f"sweep {rows[0]['sweep']}: {', '.join(parts)}"


def environments_line(found: Sequence[Mapping[str, Any]]) -> str:
    """A note where trials were trained in several environments, as `jaxmlp.runtime.environment` tells them; else ""."""
    flat = [{**each, **each.get("versions", {})} for each in found]
    names = dict.fromkeys(name for each in flat for name in each if name != "versions")
    different = [name for name in names if len({json.dumps(each.get(name)) for each in flat}) > 1]
    if not different:
        return ""
    parts = [f"{name} {' and '.join(dict.fromkeys(str(each.get(name)) for each in flat))}" for name in different]
    return f"note: trained in {len(found)} environments, whose last bits may differ: {'; '.join(parts)}"
