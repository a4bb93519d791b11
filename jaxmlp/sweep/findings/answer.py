"""What a sweep found: its trials, the best configuration, a table, curves, figures, and the network itself."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmlp import figures, models, runtime, tables
from jaxmlp.checks import InputError
from jaxmlp.sweep import blocks, store
from jaxmlp.sweep.findings import choosing, summary
from jaxmlp.sweep.findings.choosing import Configuration, Interval
from jaxmlp.sweep.findings.rungs import rung_lines, rungs_of
from jaxmlp.sweep.store import reading
from jaxmlp.sweep.trial import Outcome, Trial, parse_hidden

if TYPE_CHECKING:
    from jaxmlp.lecture.data import Dataset

__all__ = ["Results", "dataset_of", "results"]

DIGITS = {"data": "digits", "target": None, "test": None, "seed": 0, "drop": [], "keep_constant": False}
CELLS = 20
"""The most values of an axis that a heatmap shows."""


@dataclasses.dataclass(frozen=True)
class Results:
    """A sweep as its database has it, finished or running; `print` shows the ten best configurations.

    Attributes:
        database: the file.
        sweep: number, identity and environment.
        rows: its trials: dictionaries that ``pandas.DataFrame`` takes as they are; ``environment`` counts those of
            `environments`.
        dataset: what it was trained on; None: it is read again where a network is trained.
        by: what chooses, "loss" or "accuracy" of the validation rows.
    """

    database: Path
    sweep: store.Sweep
    rows: list[dict[str, Any]] = dataclasses.field(repr=False)
    dataset: Dataset | None = dataclasses.field(default=None, repr=False)
    by: str = "loss"

    @property
    def search(self) -> dict[str, Any] | None:
        """Of a search its sampler, seed, batch and what chose; None for a sweep of a given space."""
        try:
            return json.loads(self.sweep.identity.space).get("search")
        except (AttributeError, ValueError):
            number = self.sweep.number
            raise InputError(f"the space of sweep {number} is damaged in the database, expected JSON") from None

    @property
    def configurations(self) -> list[Configuration]:
        """Configurations with a trial that is done, the best first: see `choosing.configurations`."""
        return choosing.configurations(self.rows, self.by)

    @property
    def best(self) -> Configuration:
        """The configuration with the best mean over its seeds, see `by`; raises InputError if none is done."""
        found = self.configurations
        if not found:
            raise InputError("no trial is done yet, expected one")
        return found[0]

    @property
    def test_accuracy(self) -> Interval:
        """Of the best configuration: the mean over its seeds, and its 95 % interval; shares 0..1."""
        return choosing.interval([row["test_accuracy"] for row in self.best.rows], 0, 1)

    def table(self) -> Any:
        """Configurations, the best first: a ``pandas.DataFrame`` where pandas is installed, else a list of rows."""
        loss, accuracy = choosing.measure_of(self.rows)
        lines = [
            {**item.values, "done": len(item.rows), "trials": item.trials, loss: item.loss.mean,
             accuracy: item.accuracy.mean, f"{accuracy}_low": item.accuracy.low, f"{accuracy}_high": item.accuracy.high}
            for item in self.configurations
        ]  # fmt: skip
        if importlib.util.find_spec("pandas") is None:
            return lines
        return importlib.import_module("pandas").DataFrame(lines)

    def curves(self, trial: str) -> dict[str, Any]:
        """Arrays ``[epochs]`` of a trial, by its id: epoch, loss, validation_loss, validation_accuracy."""
        with store.opened(self.database) as connection:
            found = reading.curves_of(connection, self.sweep, trial)
        if not found:
            raise InputError(f"trial is {trial!r}, expected the id of one that has been trained")
        names = ("epoch", "loss", "validation_loss", "validation_accuracy")
        return dict(zip(names, np.array(found, np.float64).T, strict=True))

    def figures(self, across: str = "learning_rate", down: str = "hidden") -> dict[str, Any]:
        """Figures by file name; some are drawn only where an axis varies.

        Args:
            across: the axis of the heatmap's columns.
            down: of its rows.
        """
        found = self.configurations
        if not found:
            return {}
        _, measure = choosing.measure_of(self.rows)
        axes = choosing.varying(self.rows)
        title = f"sweep {self.sweep.number}: {len(found):,} configurations, {_seeds(found[0])}"
        drawn: dict[str, Any] = {}
        if "learning_rate" in axes:
            drawn["learning_rate.png"] = figures.by_axis(found, "learning_rate", "hidden", measure, title)
        if axes:
            if max(len({item.values[axis] for item in found}) for axis in (across, down)) <= CELLS:
                drawn["heatmap.png"] = figures.heatmap(found, across, down, measure, title)
            drawn["parallel.png"] = figures.parallel_coordinates(found, axes, measure, title)
        drawn["curves.png"] = figures.best_curves(self._best_curves(axes), f"{title}: the best five, means over seeds")
        return drawn

    def _best_curves(self, axes: list[str]) -> dict[str, Any]:
        """Training and validation loss ``[epochs, 2]`` of the best five, means over seeds, by name."""
        curves: dict[str, Any] = {}
        with store.opened(self.database) as connection:
            for rank, item in enumerate(self.configurations[:5], 1):
                seeds = [
                    np.array(reading.curves_of(connection, self.sweep, row["id"]), np.float64) for row in item.rows
                ]
                name = ", ".join(
                    f"{axis.replace('_', ' ')} {summary.label(item.values[axis])}" for axis in axes or ["hidden"]
                )
                curves[f"{rank}: {name}"] = np.mean(seeds, axis=0)[:, 1:3]
        return curves

    def chosen(self, trial: str | None = None) -> dict[str, Any]:
        """The row of a trial that is done; None: of the best configuration's, the best one."""
        if trial is None:
            loss, accuracy = choosing.measure_of(self.rows)
            sign = 1 if self.by == "loss" else -1
            return min(self.best.rows, key=lambda row: (sign * row[loss if self.by == "loss" else accuracy], row[loss]))
        row = next((row for row in self.rows if row["id"] == trial), None)
        if row is None or row["status"] != "done":
            raise InputError(f"trial is {trial!r}, expected the id of a trial of the sweep that is done")
        return row

    def network(self, identity: str | None = None) -> tuple[models.Model, Outcome]:
        """A trial's network, trained again to the same bits, since a sweep keeps no parameters; and its Outcome.

        Args:
            identity: its id; None: as `chosen`.

        Raises:
            InputError: no such trial; the data is not there any more, or has other rows.
        """
        row = self.chosen(identity)
        environment, epochs = self.sweep.environment, self.sweep.identity.epochs
        runtime.configure_sweep(environment["dtype"])
        dataset = self.dataset or dataset_of(self.sweep)
        data = blocks.hold_out(dataset, environment["validation"])
        if blocks.data_hash(data) != self.sweep.identity.dataset:
            raise InputError("the data differs from that of the sweep, expected the same rows, split in the same way")
        trial = trial_of_row(row)
        params, outcome = blocks.train_trial(trial, epochs, data, environment.get("engine", "scan"))
        details = {**json.loads(trial.configuration), "epochs": epochs, "test_accuracy": outcome.test_accuracy}
        return models.trained_model(params, trial.activation, dataset, details), outcome

    def export(self, path: str | os.PathLike[str], trial: str | None = None, overwrite: bool = False) -> models.Model:
        """Write a trial's network to a model file, see `network` and `jaxmlp.save`; returns it."""
        if not overwrite and Path(path).exists():  # before it is trained
            raise InputError(f"{str(path)!r} exists, expected a new name, or overwrite=True")
        model, _ = self.network(trial)
        models.save(path, model, overwrite)
        return model

    @property
    def environments(self) -> list[dict[str, Any]]:
        """The environments in which its trials were trained, as `jaxmlp.runtime.environment` gives them."""
        with store.opened(self.database) as connection:
            return store.environments_of(connection, self.sweep.number)

    def summary(self, top: int = 10) -> str:
        """The table of the ``top`` best configurations, the chosen one's test accuracy, how sure the choices are."""
        with store.opened(self.database) as connection:
            # Halving chose by what the sweep was begun with, whatever is asked for now.
            found = rungs_of(connection, self.sweep, self.rows, self.sweep.environment.get("by", "loss"))
        return "\n".join([*rung_lines(found), summary.summary(self.rows, top, self.by)])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"Results({summary.progress_line(self.rows)}; the best: {self.configurations[:1]})"

    def _repr_html_(self) -> str:
        """The ten best configurations in a notebook."""
        return summary.in_notebook(self.rows, by=self.by)


def trial_of_row(row: dict[str, Any]) -> Trial:
    """The Trial of a row of `Results.rows`."""
    values: dict[str, Any] = {field.name: row[field.name] for field in dataclasses.fields(Trial)}
    values["hidden"] = parse_hidden(row["hidden"])
    return Trial(**values)


def _seeds(best: Configuration) -> str:
    return f"{len(best.rows)} seed{'s' * (len(best.rows) != 1)}"


def dataset_of(sweep: store.Sweep, data: str | None = None) -> tables.Table:
    """The data of a sweep, read again from where it was, or from ``data``; errors as `jaxmlp.tables.table_of`."""
    source = sweep.environment.get("data", DIGITS)  # what earlier versions trained on
    if source is None:
        raise InputError("the sweep's data was no table, expected it as dataset")
    try:
        return tables.table_of(source, sweep.environment["dtype"], data)
    except InputError as error:
        raise InputError(f"the sweep's data cannot be read again: {error}") from None


def results(
    database: str | os.PathLike[str], sweep: int | None = None, dataset: Dataset | None = None, by: str | None = None
) -> Results:
    """The Results of a sweep in a database, by default of the newest; works while it runs.

    Args:
        database: the file.
        sweep: its number.
        dataset: what it was trained on; None: read again where it is needed, from where it was.
        by: what chooses, "loss" or "accuracy"; None: what the sweep was begun with.

    Raises:
        InputError: no database, no such sweep.
    """
    with store.opened(database) as connection:
        found = store.find_sweeps(connection)
        if not found:
            raise InputError(f"there is no sweep in {str(database)!r}, expected one that was begun")
        numbers = [each.number for each in found]
        if sweep is not None and sweep not in numbers:
            raise InputError(f"sweep is {sweep}, expected one of {numbers}")
        each = found[-1] if sweep is None else found[numbers.index(sweep)]
        rows, chosen = reading.rows_of(connection, each.number), by or each.environment.get("by", "loss")
        return Results(Path(database), each, rows, dataset, chosen)
