"""Many networks at once, in a database that survives a crash: run a sweep, look at it, take its best network.

Networks of one depth train side by side, whatever their widths, rates and seeds. The last training rows choose,
the test rows judge what was chosen. Ctrl-C keeps where each network stands; killed, a sweep trains what was in flight
again. The same command goes on, and ends with the same bits. A network whose loss is no longer finite is marked
diverged and disturbs nobody. report works while a sweep runs.

python -m experiments.sweep run --hidden 20 20,10 --learning-rate 0.05 0.1 0.2 --seeds 0:16 --epochs 20
python -m experiments.sweep search --hidden 20 --learning-rate log:0.01:1 --weight-decay log:1e-6:1e-2 --trials 500
python -m experiments.sweep report
python -m experiments.sweep export
python -m experiments.sweep run --data flowers.csv --target species --hidden 4 8 --seeds 0:8
"""

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

from experiments.support import command_line, own_data, parsing
from experiments.sweep_actions import estimate, report_and_export, search
from experiments.sweep_actions.executors import executor
from jaxmlp import InputError, Table, runtime, sweep
from jaxmlp.sweep import BY, ENGINES, Results, Space, SweepConfig, make_space, prepared

AXES: dict[str, str] = {
    "hidden": "networks by the units of their hidden layers: 20 10 are two networks, 20,10 is one with two layers, "
    "none has no hidden layer (20)",
    "activation": "phi of the hidden layers: sigmoid, tanh, relu, identity (sigmoid)",
    "batch_size": "samples per update (1)",
    "optimizer": "sgd, momentum, nesterov or adam (sgd)",
    "learning_rate": "eta of the update, above 0 (0.2)",
    "momentum": "share of the last change that is kept, 0 to 1; of momentum and nesterov (0.9)",
    "weight_decay": "times the parameters it is added to the gradient, 0 or more (0)",
    "init_scale": "of the initial weights' standard deviation, in units of 1/sqrt(inputs) (1)",
    "seeds": "of the random numbers: single ones or FIRST:END, as 0:16 for 0 to 15 (0)",
}
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
    for name in (*AXES, "random", "random_seed", *SETTINGS, *own_data.FIELDS):
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
            table, space, database, config.epochs, config.validation, config.halving, engine, pool, told,
            command_line.show, git_commit(), config.by,
        )  # fmt: skip


def add_arguments(parser: parsing.Parser, searched: bool = False) -> None:
    """The options of ``run``, or of ``search``."""
    ranges = "of numbers also ranges, uniform:LOW:HIGH or log:LOW:HIGH"
    title = "what to choose from" if searched else "which networks: every value with every other"
    group = parser.add_argument_group(title, f"lists of values; {ranges}{'' if searched else ', with --random'}")
    for name, about in AXES.items():
        kind: Any = int if name == "batch_size" else str
        group.add_argument(
            f"--{name.replace('_', '-')}", nargs="+", action="extend", type=kind, metavar="V", help=about
        )
    group.add_argument("--space", metavar="FILE", help="TOML file with the same names and values; options here win")
    if searched:
        search.add_arguments(parser)
    else:
        add = parser.add_argument_group("fewer than all of them").add_argument
        add("--random", type=int, metavar="N", help="draw N configurations from the values and ranges")
        add("--random-seed", type=int, metavar="N", help="of these draws, 0..2**32-1 (0)")
        halving = "successive halving: a K-th of the configurations goes on after a quarter of the epochs, and again"
        add("--halving", type=int, metavar="K", help=f"{halving} after K times as many; 0: all go on to the end (0)")
    add = parser.add_argument_group("training").add_argument
    add("--epochs", type=int, metavar="N", help="passes over the training rows (20)")
    validation = "the last N training rows choose and are not trained on; 0: none (300, of your data a fifth)"
    add("--validation", type=int, metavar="N", help=validation)
    add("--by", choices=BY, help="what chooses a configuration, by its mean over the seeds (loss)")
    add("--dtype", choices=("float32", "float64"), help="precision of all numbers (float32)")
    own_data.add_arguments(parser)
    add = parser.common.add_argument
    engines = (
        "how networks train side by side; fused: a whole epoch in one launch, for GPUs; auto: the faster one (auto)"
    )
    add("--engine", choices=(*ENGINES, "auto"), default="auto", help=engines)
    add(
        "--executor", default="local", metavar="WHERE", help="local, or a Dask cluster's dask://HOST:PORT (%(default)s)"
    )
    add("--dry-run", action="store_true", help="say what it would take, train nothing")
    parsing.add_no_cache(parser)


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
        print("what was trained is kept, the same command goes on from there", file=sys.stderr)
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


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = parsing.parser("experiments.sweep", __doc__)
    actions = parser.add_subparsers(title="what to do", dest="action", metavar="run|search|report|export")

    def action(name: str, about: str) -> parsing.Parser:
        command = f"python -m experiments.sweep {name}"
        examples = [line for line in (__doc__ or "").splitlines() if line.startswith(command)]
        said = "\n".join([f"{about[0].upper()}{about[1:]}.", *examples])
        return actions.add_parser(name, help=about, description=said)

    runs = action("run", "run a sweep, or resume it")
    add_arguments(runs)
    searches = action("search", "let a sampler of Optuna choose what to train, or resume that")
    add_arguments(searches, searched=True)
    reports = action("report", "show the best configurations as a table and as figures, and write trials.csv")
    report_and_export.add_report_arguments(reports)
    exports = action("export", "write a trial's network as best.safetensors")
    report_and_export.add_export_arguments(exports)
    for each in (runs, searches, reports, exports):
        parsing.add_device(each, argparse.SUPPRESS)
        database = "SQLite file with every trial (%(default)s)"
        each.common.add_argument("--database", default="runs/sweep.sqlite", metavar="FILE", help=database)
    for each in (reports, exports):
        each.add_argument("--by", choices=BY, help="what chooses a configuration (as the sweep was begun)")
        each.add_argument("--sweep", type=int, metavar="N", help="number of a sweep in the file (the newest)")
        parsing.add_out(each, "runs/sweep", argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.action is None:
        parser.print_help()
        return 2
    bodies = {
        "run": run_command,
        "search": search_command,
        "report": report_and_export.report_command,
        "export": report_and_export.export_command,
    }
    return command_line.call(lambda: bodies[options.action](options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
