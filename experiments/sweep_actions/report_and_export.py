"""Looking at a sweep, finished or running: the table, the figures, ``trials.csv``, the best network."""

import argparse
import dataclasses
import io
from typing import Any

from experiments.support import command_line
from jaxmlp import InputError, sweep
from jaxmlp.sweep import choosing, summary

DRAWN = (
    "learning_rate.png",
    "heatmap.png",
    "parallel.png",
    "curves.png",
    "search_history.png",
    "search_importance.png",
)


def report_command(options: argparse.Namespace) -> int:
    """``report``."""
    command_line.positive("top", options.top)
    found = sweep.results(options.database, options.sweep, by=options.by)
    if not found.rows:
        raise InputError(f"sweep {found.sweep.number} has no trial yet, expected one or more")
    print(summary.progress_line(found.rows))
    if note := summary.environments_line(found.environments):
        print(note)
    print(found.summary(options.top))
    folder = command_line.output_folder(options.out)
    text = io.StringIO(newline="")
    choosing.write_csv(found.rows, text)
    drawn = found.figures(options.across, options.down)
    if asked := found.search:
        print(f"a search by {asked['sampler']}, seed {asked['seed']}, {asked['batch']:,} configurations at a time")
        drawn |= _pictures(found, asked)
    if "parallel.png" in drawn and "heatmap.png" not in drawn:
        axes = f"{options.across} or {options.down}"
        print(f"no heatmap: {axes} has more values than fit, --across and --down choose others")
    print(command_line.write(folder, {"trials.csv": text.getvalue(), **drawn}, DRAWN))
    return 0


def _pictures(found: sweep.Results, asked: dict[str, Any]) -> dict[str, Any]:
    """Optuna's own of a search, where it is installed."""
    try:
        study = sweep.study_of(found.database, found.sweep.number)
        return sweep.search_figures(study, f"mean validation {asked['by']}")
    except InputError as missing:
        print(f"no pictures of the search: {missing}")
        return {}


def export_command(options: argparse.Namespace) -> int:
    """``export``: train the trial again, to the same bits (the sweep keeps no parameters), and write its network."""
    found = sweep.results(options.database, options.sweep, by=options.by)
    row = found.chosen(options.trial)
    folder = command_line.output_folder(options.out)
    if options.data is not None:
        found = dataclasses.replace(found, dataset=sweep.dataset_of(found.sweep, options.data))
    model, outcome = found.network(row["id"])
    same = (
        "as recorded"
        if outcome.test_accuracy == row["test_accuracy"]
        else f"recorded: {100 * row['test_accuracy']:.2f} %"
    )
    written = command_line.write(folder, {"best.safetensors": model})
    print(f"trial {row['id']}, {', '.join(f'{axis} {row[axis]}' for axis in (*choosing.AXES, 'seed'))}")
    print(f"test accuracy {100 * outcome.test_accuracy:.2f} % ({same})")
    print(written)
    return 0
