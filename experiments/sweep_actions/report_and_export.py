"""Looking at a sweep, finished or running: the table, the figures, ``trials.csv``, the best network."""

import argparse
import collections
import io
import json
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.support import command_line
from jaxmlp import InputError, Model, figures, load_digits, runtime
from jaxmlp.sweep import Trial, choosing, data_hash, hold_out, reading, store, train_trial, trial_of

CELLS = 20
"""The most values of an axis that a heatmap shows."""


def percent(found: choosing.Interval) -> str:
    """``91.3 (90.9..91.7)``, or the mean alone."""
    text = f"{100 * found.mean:.2f}"
    return text if np.isnan(found.low) else f"{text} ({100 * found.low:.2f}..{100 * found.high:.2f})"


def table(found: list[choosing.Configuration], axes: list[str], top: int, measures: tuple[str, str]) -> str:
    """The best configurations, one per line."""
    axes = axes or ["hidden", "learning_rate"]
    lines = [
        (
            str(rank), *(figures.label(item.values[axis]) for axis in axes), f"{len(item.rows)}/{item.trials}",
            f"{item.loss.mean:.4f}", percent(item.accuracy),
        )
        for rank, item in enumerate(found[:top], 1)
    ]  # fmt: skip
    names = [name.replace("_", " ") for name in (*axes, "done", *measures)]
    return command_line.table(("", *names[:-1], f"{names[-1]} % (95 % interval)"), lines)


def chosen_line(best: choosing.Configuration) -> str:
    """The test accuracy of the chosen configuration; no other configuration's is shown."""
    test = choosing.interval([row["test_accuracy"] for row in best.rows], 0, 1)
    return f"chosen: 1, test accuracy {percent(test)} % over {len(best.rows)} seeds"


def show(rows: list[dict[str, Any]], top: int) -> None:
    """Print the table and the chosen configuration's test accuracy."""
    found = choosing.configurations(rows)
    if found:
        print(table(found, choosing.varying(rows), top, choosing.measure_of(rows)))
        print(chosen_line(found[0]))
    else:
        print("no trial is done yet")


def draw(rows: list[dict[str, Any]], database: str, across: str, down: str) -> dict[str, Figure]:
    """The figures by file name; some are drawn only where an axis varies."""
    found = choosing.configurations(rows)
    if not found:
        return {}
    _, measure = choosing.measure_of(rows)
    axes = choosing.varying(rows)
    title = f"sweep {rows[0]['sweep']}: {len(found):,} configurations, {len(found[0].rows)} seeds"
    drawn: dict[str, Figure] = {}
    if "learning_rate" in axes:
        drawn["learning_rate.png"] = figures.by_axis(found, "learning_rate", "hidden", measure, title)
    if axes:
        if max(len({item.values[axis] for item in found}) for axis in (across, down)) <= CELLS:
            drawn["heatmap.png"] = figures.heatmap(found, across, down, measure, title)
        drawn["parallel.png"] = figures.parallel_coordinates(found, axes, measure, title)
    with store.opened(database) as connection:
        sweep = next(item for item in store.find_sweeps(connection) if item.number == rows[0]["sweep"])
        curves: dict[str, Any] = {}
        for rank, item in enumerate(found[:5], 1):
            seeds = [np.array(reading.curves_of(connection, sweep, row["id"]), np.float64) for row in item.rows]
            name = ", ".join(
                f"{axis.replace('_', ' ')} {figures.label(item.values[axis])}" for axis in axes or ["hidden"]
            )
            curves[f"{rank}: {name}"] = np.mean(seeds, axis=0)[:, 1:3]
    drawn["curves.png"] = figures.best_curves(curves, f"{title}: the best five, means over seeds")
    return drawn


def progress_line(rows: list[dict[str, Any]]) -> str:
    """How far the sweep is: trials by status, and how many configurations are not begun."""
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``report``."""
    add = parser.add_argument
    add("--top", type=int, default=10, metavar="K", help="lines of the table (%(default)s)")
    add("--across", choices=choosing.AXES, default="learning_rate", help="of the heatmap (%(default)s)")
    add("--down", choices=choosing.AXES, default="hidden", help="of the heatmap (%(default)s)")


def report_command(options: argparse.Namespace) -> int:
    """``report``."""
    command_line.positive("top", options.top)
    rows = reading.trials(options.database, options.sweep)
    print(progress_line(rows))
    show(rows, options.top)
    folder = command_line.output_folder(options.out)
    text = io.StringIO(newline="")
    choosing.write_csv(rows, text)
    drawn = draw(rows, options.database, options.across, options.down)
    if "parallel.png" in drawn and "heatmap.png" not in drawn:
        axes = f"{options.across} or {options.down}"
        print(f"no heatmap: {axes} has more than {CELLS} values, --across and --down choose others")
    print(command_line.write(folder, {"trials.csv": text.getvalue(), **drawn}))
    return 0


def find_trial(database: str, number: int | None, identity: str | None) -> tuple[Trial, store.Sweep, dict[str, Any]]:
    """The trial to export: the one with this id, or the one of the chosen configuration with the lowest loss."""
    rows = reading.trials(database, number)
    if identity is None:
        found = choosing.configurations(rows)
        if not found:
            raise InputError("no trial is done yet, expected one to export")
        loss, _ = choosing.measure_of(rows)
        identity = min(found[0].rows, key=lambda row: row[loss])["id"]
    row = next((row for row in rows if row["id"] == identity), None)
    if row is None or row["status"] != "done":
        raise InputError(f"trial is {identity!r}, expected the id of a trial of the sweep that is done")
    with store.opened(database) as connection:
        sweep = next(item for item in store.find_sweeps(connection) if item.number == row["sweep"])
        text = connection.execute("SELECT configuration FROM trials WHERE id = ?", (identity,)).fetchone()[0]
    return trial_of(text), sweep, row


def export_command(options: argparse.Namespace) -> int:
    """``export``: train the trial again, to the same bits (the sweep keeps no parameters), and write its network."""
    trial, sweep, row = find_trial(options.database, options.sweep, options.trial)
    folder = command_line.output_folder(options.out)
    dtype, n_validation = sweep.environment["dtype"], sweep.environment["validation"]
    runtime.configure_sweep(dtype)
    data = hold_out(load_digits(dtype), n_validation)
    if data_hash(data) != sweep.identity.dataset:
        raise InputError("the digits differ from those of the sweep, expected the same rows")
    params, outcome = train_trial(trial, sweep.identity.epochs, data, sweep.environment.get("engine", "scan"))
    details = {"data": "digits", **json.loads(trial.configuration), "epochs": sweep.identity.epochs}
    model = Model(params, trial.activation, np.arange(10), {**details, "test_accuracy": outcome.test_accuracy})
    written = command_line.write(folder, {"best.safetensors": model})
    same = (
        "as recorded"
        if outcome.test_accuracy == row["test_accuracy"]
        else f"recorded: {100 * row['test_accuracy']:.2f} %"
    )
    print(f"trial {trial.id}, {trial.configuration}")
    print(f"test accuracy {100 * outcome.test_accuracy:.2f} % ({same})")
    print(written)
    return 0
