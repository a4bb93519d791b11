"""Many networks at once, in a database that survives a crash: run a sweep, look at it, take its best network.

python -m experiments.sweep run --hidden 20 20,10 --learning-rate 0.05 0.1 0.2 --seeds 0:16 --epochs 20
python -m experiments.sweep report
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import importlib
import json
import subprocess
import time
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from experiments.support import command_line
from experiments.sweep_actions import estimate, report_and_export
from experiments.sweep_actions.engine_choice import choose_engine, notices
from jaxmlp import InputError, load_digits, runtime
from jaxmlp.engine import device_mesh, lanes_of
from jaxmlp.sweep import (
    ATTEMPTS,
    ENGINES,
    IN_FLIGHT,
    Space,
    data_hash,
    hold_out,
    make_space,
    pack,
    reading,
    run_sweep,
    rungs,
    store,
)

AXES: dict[str, str] = {
    "hidden": "widths of a network's hidden layers, as 20 or 20,10 or none",
    "activation": "of the hidden layers",
    "batch_size": "samples per update",
    "optimizer": "sgd, momentum, nesterov or adam",
    "learning_rate": "numbers, or with --random uniform:LOW:HIGH or log:LOW:HIGH, like the next three",
    "momentum": "of momentum and nesterov",
    "weight_decay": "0: none",
    "init_scale": "of the initial weights' standard deviation, times 1/sqrt(inputs)",
    "seeds": "numbers or FIRST:END",
}
SETTINGS = {"epochs": 20, "validation": 300, "dtype": "float32", "halving": 0}


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
    for name in (*AXES, "random", "random_seed", *SETTINGS):
        if name in given:
            values[name] = given[name]
    settings = {name: values.pop(name, default) for name, default in SETTINGS.items()}
    for name, least in (("epochs", 1), ("validation", 0), ("halving", 0)):
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value!r}, expected a whole number, {least} or more")
    if settings["halving"] == 1:
        raise InputError("halving is 1, expected 0 for none or a factor of 2 or more")
    if settings["halving"] and not settings["validation"]:
        raise InputError(f"validation is 0, expected rows for halving {settings['halving']} to choose by")
    return values, settings


def git_commit() -> str | None:
    """The commit of this code, with a plus where files have changed since; None outside a repository."""
    call = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@contextlib.contextmanager
def executor(name: str) -> Generator[tuple[concurrent.futures.Executor, dict[str, int]]]:
    """The executor ``local`` or ``dask://HOST:PORT``, and the arguments that `run_sweep` needs for it."""
    if name == "local":
        # One thread trains a block, which JAX spreads over all devices; another prepares the next block meanwhile.
        local = concurrent.futures.ThreadPoolExecutor(IN_FLIGHT)
        try:
            yield local, {"in_flight": IN_FLIGHT, "attempts": ATTEMPTS}
        finally:  # only Ctrl-C leaves something running, and need not wait for it
            local.shutdown(wait=False, cancel_futures=True)
        return
    if not name.startswith("dask://"):
        raise InputError(f"--executor is {name!r}, expected local or dask://HOST:PORT")
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise InputError("--executor dask:// needs the package distributed: pip install 'jaxmlp[cluster]'") from None
    try:
        client = distributed.Client(f"tcp://{name.removeprefix('dask://')}", timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"--executor is {name!r}, expected a Dask scheduler's address ({error})") from None
    with client, client.get_executor(retries=ATTEMPTS - 1) as cluster:
        # Dask repeats a failed task itself, on another worker.
        workers = max(1, len(client.scheduler_info()["workers"]))
        yield cluster, {"in_flight": 2 * workers, "attempts": 1}


def compare(found: store.Sweep, identity: store.Identity) -> str:
    """In what a new sweep differs from one in the database."""
    old, new = json.loads(found.identity.space), json.loads(identity.space)
    parts = [name for name in new if new[name] != old.get(name)]
    parts += [
        name for name in ("dataset", "epochs", "halving") if getattr(found.identity, name) != getattr(identity, name)
    ]
    return ", ".join(parts)


def announce(
    sweep: store.Sweep, resumed: bool, others: list[store.Sweep], counts: dict[str, int], engine: str = "scan"
) -> None:
    """Print whether the sweep is new or resumed, how many trials are there, and what has changed since it began."""
    total, there = sum(counts.values()), counts.get("done", 0) + counts.get("diverged", 0)
    print(f"sweep {sweep.number}, {'resumed' if resumed else 'new'}: {there:,} of {total:,} trials are there")
    if not resumed and others:
        print(f"  (not sweep {others[-1].number} resumed: another {compare(others[-1], sweep.identity)})")
    now = {**runtime.environment(), "engine": engine}
    changed = [name for name in now if now[name] != sweep.environment.get(name, "scan")]
    if resumed and changed:
        print(f"  (since it began, {', '.join(changed)} changed: further trials may differ in their last bits)")


def run(
    space: Space, settings: dict[str, Any], database: str, executor_name: str = "local", engine: str = "auto"
) -> list[dict[str, Any]]:
    """Run or resume a sweep on the digits, with a progress bar; returns its rows, as `jaxmlp.sweep.trials` does."""
    runtime.configure_sweep(settings["dtype"])
    data = hold_out(load_digits(settings["dtype"]), settings["validation"])
    identity = store.Identity(
        json.dumps(dataclasses.asdict(space), sort_keys=True), data_hash(data), settings["epochs"], settings["halving"]
    )
    trials, engine = space.trials(), choose_engine(engine, executor_name)
    # Raises an error for what cannot be trained, before anything is written.
    for line in notices(list(pack(trials, data, lanes_of(device_mesh()), engine)), data, engine):
        print(f"note: {line}")
    manifest = {**runtime.environment(), "dtype": settings["dtype"], "validation": settings["validation"],
                "engine": engine}  # fmt: skip
    # The executor comes first: a cluster that cannot be reached leaves no database behind.
    with executor(executor_name) as (pool, how), store.opened(database, write=True) as connection:
        others = store.find_sweeps(connection)
        sweep, resumed = store.begin(connection, identity, trials, manifest, git_commit())
        counts = reading.status_counts(connection, sweep.number)
        announce(sweep, resumed, others, counts, engine)
        steps = len(rungs(settings["epochs"], settings["halving"]))
        total = sum(len(trials) // settings["halving"] ** rung for rung in range(steps)) if steps > 1 else len(trials)
        with command_line.bar(total, "trial") as progress:
            progress.update(counts.get("done", 0) + counts.get("diverged", 0))

            def written(count: int) -> None:
                progress.update(count)

            run_sweep(connection, sweep, data, pool, written, engine=engine, trials=trials, **how)
        return reading.rows_of(connection, sweep.number)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``run``."""
    add = parser.add_argument
    add("--space", metavar="FILE", help="TOML file with the same names and lists of values; options here win")
    for name, about in AXES.items():
        kind: Any = int if name == "batch_size" else str
        add(f"--{name.replace('_', '-')}", nargs="+", action="extend", type=kind, metavar="V", help=about)
    add("--random", type=int, metavar="N", help="N configurations drawn from the values and ranges, not their grid")
    add("--random-seed", type=int, metavar="N", help="of these draws (0)")
    add("--epochs", type=int, help="(20)")
    add("--validation", type=int, metavar="N", help="the last N training rows, to choose by; 0: none (300)")
    add("--dtype", choices=("float32", "float64"), help="(float32)")
    add("--halving", type=int, metavar="K", help="successive halving: keep the best K-th at epochs/K^2, epochs/K, ...")
    engines = "fused: a whole epoch in one launch, for GPUs; auto: fused on a GPU, where it is installed, else scan"
    add("--engine", choices=(*ENGINES, "auto"), default="auto", help=engines)
    add("--executor", default="local", metavar="WHERE", help="local, or dask://HOST:PORT (%(default)s)")
    add("--dry-run", action="store_true", help="say what it would take, train nothing")


def run_command(options: argparse.Namespace) -> int:
    """``run``."""
    values, settings = values_of(options)
    space = make_space(values)
    if options.dry_run:
        runtime.configure_sweep(settings["dtype"])
        data = hold_out(load_digits(settings["dtype"]), settings["validation"])
        engine = choose_engine(options.engine, options.executor)
        print(estimate.estimate(space.trials(), data, settings["epochs"], settings["halving"], engine))
        return 0
    start = time.perf_counter()
    if options.executor != "local" and options.device != "auto":
        raise InputError(f"--device is {options.device!r}, expected auto: an executor's workers choose for themselves")
    rows = run(space, settings, options.database, options.executor, options.engine)
    counts = collections.Counter(row["status"] for row in rows)
    print(
        f"{', '.join(f'{count:,} {status}' for status, count in counts.items())}: {time.perf_counter() - start:.1f} s"
    )
    report_and_export.show(rows, top=10)
    return 1 if counts["failed"] else 0


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command_line.parser("experiments.sweep", __doc__)
    actions = parser.add_subparsers(
        dest="action", required=True, parser_class=command_line.Parser, metavar="run|report|export"
    )
    runs = actions.add_parser("run", help="run a sweep, or resume it", allow_abbrev=False)
    add_arguments(runs)
    reports = actions.add_parser("report", help="top configurations, figures, trials.csv", allow_abbrev=False)
    report_and_export.add_arguments(reports)
    exports = actions.add_parser("export", help="a trial's network as best.safetensors", allow_abbrev=False)
    exports.add_argument("--trial", metavar="ID", help="(the best)")
    for each in (runs, reports, exports):
        command_line.add_device(each, argparse.SUPPRESS)
        each.add_argument("--database", default="runs/sweep.sqlite", metavar="FILE", help="(%(default)s)")
    for each in (reports, exports):
        each.add_argument("--sweep", type=int, metavar="N", help="its number (the newest)")
        each.add_argument("--out", default=argparse.SUPPRESS, metavar="DIR", help="(runs/sweep)")
    options = parser.parse_args(arguments)
    bodies = {
        "run": run_command,
        "report": report_and_export.report_command,
        "export": report_and_export.export_command,
    }
    return command_line.call(lambda: bodies[options.action](options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
