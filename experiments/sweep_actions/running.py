"""Running a sweep or a search: its values from the options and the file, the data, the progress."""

import argparse
import collections
import contextlib
import subprocess
import sys
import time
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from experiments.support import command_line, own_data
from experiments.sweep_actions import estimate, search
from experiments.sweep_actions.executors import executor
from jaxmlp import InputError, Table, choices, runtime, sweep
from jaxmlp.sweep import Results, Space, SweepConfig, make_space, prepared

SETTINGS: dict[str, Any] = {"epochs": 20, "validation": None, "dtype": "float32", "halving": 0, "by": "loss"}


def values_of(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the space and the settings: from the file, then from the options, which win."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    values: dict[str, Any] = {}
    if options.space:
        try:
            values = tomllib.loads(Path(options.space).read_text())
        except OSError as error:
            raise InputError(f"--space is {options.space!r}, expected a readable file ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"--space is {options.space!r}, expected TOML: {error}") from None
    for name in (*choices.AXES, "seeds", "random", "random_seed", *SETTINGS, *own_data.FIELDS):
        if name in given:
            values[name] = given[name]
    settings = {name: values.pop(name, default) for name, default in SETTINGS.items()}
    settings["cache"] = not options.no_cache
    settings["source"] = own_data.config_of({name: values.pop(name, None) for name in own_data.FIELDS})
    return values, settings


def git_commit() -> str | None:
    """The commit of this code, with a plus where files have changed since; None outside a repository."""
    call = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def load(settings: dict[str, Any]) -> tuple[Table, SweepConfig]:
    """The data and how its networks are trained."""
    runtime.configure_sweep(settings["dtype"], settings.get("cache", False))
    table = settings.get("source", own_data.DataConfig()).load(settings["dtype"])
    command_line.show_notes(table)
    return table, SweepConfig(settings["epochs"], settings["validation"], settings["halving"], by=settings["by"])


def run(
    space: Space, settings: dict[str, Any], database: str, executor_name: str = "local", engine: str = "auto"
) -> Results:
    """Run or resume a sweep with a progress bar."""
    table, config = load(settings)
    # The executor comes before the database: a cluster that cannot be reached leaves none behind.
    with executor(executor_name) as pool, command_line.bar(1, "trial") as progress:

        def told(done: float, total: float) -> None:
            progress.total = int(total)
            progress.update(int(done) - progress.n)

        return sweep.run(
            table,
            space,
            database,
            config.epochs,
            config.validation,
            config.halving,
            engine,
            pool,
            told,
            command_line.show,
            git_commit(),
            config.by,
        )


def widths_note(hidden: list[str] | None) -> str:
    """What several values of ``--hidden`` mean, where `experiments.train` would take them for one network; else ""."""
    if hidden is None or len(hidden) < 2 or not all(value.isdecimal() for value in hidden):
        return ""
    one = f"one network with {len(hidden)} hidden layers is --hidden {','.join(hidden)}"
    return f"note: --hidden {' '.join(hidden)} are {len(hidden)} networks with one hidden layer each; {one}"


def check_executor(options: argparse.Namespace) -> None:
    """Raise InputError for a device that is chosen here and an executor that trains elsewhere."""
    if options.executor != "local" and options.device != "auto":
        raise InputError(f"--device is {options.device!r}, expected auto: an executor's workers choose for themselves")


@contextlib.contextmanager
def told_what_is_kept() -> Generator[None]:
    """After Ctrl-C it is said that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        print("what was trained is kept; the same command continues from there", file=sys.stderr)
        raise


def run_command(options: argparse.Namespace) -> int:
    """``run``."""
    values, settings = values_of(options)
    space = make_space(values, (*SETTINGS, *own_data.FIELDS))
    if note := widths_note(options.hidden):
        print(note)
    if options.dry_run:
        table, config = load(settings)
        given = config._replace(engine=options.engine)
        data, trials, engine = prepared(table, space, given, options.executor == "local", command_line.show)
        print(estimate.estimate(trials, data, config.epochs, config.halving, engine))
        return 0
    check_executor(options)
    start = time.perf_counter()
    with told_what_is_kept():
        found = run(space, settings, options.database, options.executor, options.engine)
    counts = collections.Counter(row["status"] for row in found.rows)
    print(
        f"{', '.join(f'{count:,} {status}' for status, count in counts.items())}: {time.perf_counter() - start:.1f} s"
    )
    print(found.summary())
    return 1 if counts["failed"] else 0


def search_command(options: argparse.Namespace) -> int:
    """``search``."""
    values, settings = values_of(options)
    if settings["halving"]:
        raise InputError(f"halving is {settings['halving']}, expected none in a search, whose sampler chooses")
    space = make_space(values, (*SETTINGS, *own_data.FIELDS), searched=True)
    if note := widths_note(options.hidden):
        print(note)
    table, config = load(settings)
    if options.dry_run:
        print(search.dry_run(options, table, space, config, command_line.show))
        return 0
    check_executor(options)
    start = time.perf_counter()
    with told_what_is_kept():
        found = search.search(options, table, space, config, git_commit())
    print("\n".join([*search.lines_of(found, time.perf_counter() - start), found.results.summary()]))
    return 0
