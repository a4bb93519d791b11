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
from typing import Any

from experiments import sweep_actions
from experiments.support import command_line, own_data, parsing
from jaxmlp import choices

AXES: dict[str, str] = {
    "hidden": "networks by the units of their hidden layers: 20 10 are two networks, 20,10 is one with two layers, "
    "none has no hidden layer (20)",
    "activation": f"phi of the hidden layers: {', '.join(choices.ACTIVATIONS)} (sigmoid)",
    "batch_size": "samples per update (1)",
    "optimizer": "sgd, momentum, nesterov or adam (sgd)",
    "learning_rate": "eta of the update, above 0 (0.2)",
    "momentum": "share of the last change that is kept, 0 to 1; of momentum and nesterov (0.9)",
    "weight_decay": "times the parameters it is added to the gradient, 0 or more (0)",
    "init_scale": "of the initial weights' standard deviation, in units of 1/sqrt(inputs) (1)",
    "seeds": "of the random numbers: single ones or FIRST:END, as 0:16 for 0 to 15 (0)",
}


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
        add_search_arguments(parser)
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
    add("--by", choices=choices.BY, help="what chooses a configuration, by its mean over the seeds (loss)")
    add("--dtype", choices=("float32", "float64"), help="precision of all numbers (float32)")
    own_data.add_arguments(parser)
    add = parser.common.add_argument
    engines = (
        "how networks train side by side; fused: a whole epoch in one launch, for GPUs; auto: the faster one (auto)"
    )
    add("--engine", choices=(*choices.ENGINES, "auto"), default="auto", help=engines)
    add(
        "--executor", default="local", metavar="WHERE", help="local, or a Dask cluster's dask://HOST:PORT (%(default)s)"
    )
    add("--dry-run", action="store_true", help="say what it would take, train nothing")
    parsing.add_no_cache(parser)


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``search`` that ``run`` does not have."""
    add = parser.add_argument_group("the search").add_argument
    add("--trials", type=int, default=1000, metavar="N", help="configurations to ask for in all (%(default)s)")
    add("--batch", type=int, default=256, metavar="N", help="configurations to ask for at a time (%(default)s)")
    samplers = "tree-structured Parzen estimators, a Gaussian process, CMA-ES, or chance (%(default)s)"
    add("--sampler", choices=choices.SAMPLERS, default="tpe", help=samplers)
    add("--sampler-seed", type=int, default=0, metavar="N", help="of its random numbers, 0..2**32-1 (%(default)s)")


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``report``."""
    add = parser.add_argument
    add("--top", type=int, default=10, metavar="K", help="how many configurations the table has (%(default)s)")
    axes = f"of the heatmap: {', '.join(choices.AXES)}"
    for name, what, default in (("--across", "columns", "learning_rate"), ("--down", "rows", "hidden")):
        add(name, choices=choices.AXES, default=default, metavar="AXIS", help=f"{what} {axes} (%(default)s)")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``export``."""
    parser.add_argument("--trial", metavar="ID", help="of the trial, as in trials.csv (the best one)")
    parser.add_argument("--data", metavar="FILE", help="the sweep's data, if it has moved (where it was)")


def perform(options: argparse.Namespace) -> int:
    """What was chosen, with what it needs opened now."""
    match options.action:
        case "run":
            return sweep_actions.running.run_command(options)
        case "search":
            return sweep_actions.running.search_command(options)
        case "report":
            return sweep_actions.report_and_export.report_command(options)
        case _:
            return sweep_actions.report_and_export.export_command(options)


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
    add_report_arguments(reports)
    exports = action("export", "write a trial's network as best.safetensors")
    add_export_arguments(exports)
    for each in (runs, searches, reports, exports):
        parsing.add_device(each, argparse.SUPPRESS)
        database = "SQLite file with every trial (%(default)s)"
        each.common.add_argument("--database", default="runs/sweep.sqlite", metavar="FILE", help=database)
    for each in (reports, exports):
        each.add_argument("--by", choices=choices.BY, help="what chooses a configuration (as the sweep was begun)")
        each.add_argument("--sweep", type=int, metavar="N", help="number of a sweep in the file (the newest)")
        parsing.add_out(each, "runs/sweep", argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.action is None:
        parser.print_help()
        return 2
    return command_line.call(lambda: perform(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
