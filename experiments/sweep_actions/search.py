"""``search``: a sampler of Optuna chooses the configurations, batch after batch."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from experiments.support import command_line
from experiments.sweep_actions import estimate
from experiments.sweep_actions.executors import executor
from jaxmlp import Table, sweep
from jaxmlp.sweep import Space, SweepConfig


def search(
    options: argparse.Namespace, table: Table, space: Space, config: SweepConfig, git_commit: str | None
) -> sweep.Searched:
    """Search, or go on with a search, with a progress bar."""
    with executor(options.executor) as pool, command_line.bar(1, "trial") as progress:

        def told(done: float, total: float) -> None:
            progress.total = int(total)
            progress.update(int(done) - progress.n)

        return sweep.search(
            None,
            table,
            space,
            options.database,
            options.trials,
            options.batch,
            options.sampler,
            options.sampler_seed,
            config.epochs,
            config.validation,
            options.engine,
            config.by,
            pool,
            told,
            command_line.show,
            git_commit,
        )


def dry_run(
    options: argparse.Namespace, table: Table, space: Space, config: SweepConfig, say: Callable[[str], None]
) -> str:
    """What it would take, the sampler's own time apart: random draws stand for its choices."""
    command_line.positive("trials", options.trials)
    drawn = dataclasses.replace(space, random=options.trials)
    given = config._replace(engine=options.engine)
    data, trials, engine = sweep.prepared(table, drawn, given, options.executor == "local", say)
    return f"{estimate.estimate(trials, data, config.epochs, 0, engine)}, beside the sampler's"


def lines_of(found: sweep.Searched, seconds: float) -> list[str]:
    """What was asked for, and where the time went."""
    asked = len(found.study.trials)
    spent: dict[str, Any] = found.seconds
    shares = ", ".join(f"{name} {spent[name]:.1f} s ({spent[name] / seconds:.0%})" for name in spent)
    return [f"{asked:,} configurations asked for: {seconds:.1f} s: {shares}"]
