"""How fast jaxmlp is beside what people would otherwise use: all measured in one run, in turns, on this machine.

python -m experiments.benchmark start       how soon a program is there: imports, help, first results
python -m experiments.benchmark training    one network, and the time from a cold start
python -m experiments.benchmark sweep       thousands of networks at once
python -m experiments.benchmark estimator   MLPClassifier beside scikit-learn's
python -m experiments.benchmark gpu         a GPU beside the CPU: thousands of networks, one, the classifier
"""

import argparse
import sys
from typing import NamedTuple

from experiments import benchmarks
from experiments.support import command_line, parsing


class Benchmark(NamedTuple):
    """A benchmark: what it measures, its options as name, default and help, whether it takes a device."""

    about: str
    options: tuple[tuple[str, int, str], ...]
    device: bool = False


REPETITIONS = ("repetitions", 5, "of each measurement")
BENCHMARKS = {
    "start": Benchmark(
        "How soon a program is there: imports, the help, first results, with programs compiled before and without.",
        (("repetitions", 10, "of each measurement"),),
    ),
    "training": Benchmark(
        "Training one network, beside what people would otherwise use: all in one run, in turns.\n"
        "Each contender has a process of its own. One runs at a time.",
        (("epochs", 100, "passes over the digits"), REPETITIONS),
    ),
    "sweep": Benchmark(
        "Thousands of networks: time per network and update, beside one network alone and what people would otherwise "
        "use.",
        (
            ("epochs", 10, "passes over the training rows"),
            ("networks", 2048, "of the sweeps of one shape"),
            REPETITIONS,
        ),
        device=True,
    ),
    "estimator": Benchmark(
        "The estimators beside scikit-learn's, with the same hyperparameters: accuracy or R2, training time, a search.",
        (("seeds", 20, "random splits per data set"), ("repetitions", 2, "of each search")),
        device=True,
    ),
    "gpu": Benchmark(
        "What a GPU gains: thousands of networks by either engine, one network, the classifier; and a loop in NumPy.\n"
        "What runs on the CPU for comparison has a process of its own, with compilation flags for the CPU.",
        (("epochs", 10, "passes over the training rows"), REPETITIONS),
    ),
}


def perform(what: str, options: argparse.Namespace) -> int:
    """The benchmark, with what it needs opened now."""
    match what:
        case "start":
            return benchmarks.start_time.command(options)
        case "training":
            return benchmarks.training_time.command(options)
        case "sweep":
            return benchmarks.sweep_time.command(options)
        case "estimator":
            return benchmarks.classifier_time.command(options)
        case _:
            return benchmarks.gpu_time.command(options)


def main(arguments: list[str] | None = None) -> int:
    """The command: the first argument names the benchmark, the others are its options."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = parsing.Parser("python -m experiments.benchmark", __doc__)
    parser.add_argument("what", choices=BENCHMARKS, help="what to measure; WHAT --help lists its options")
    if not given:
        parser.print_help()
        return 2
    what = parser.parse_args(given[:1]).what
    chosen = BENCHMARKS[what]
    command = f"experiments.benchmark {what}"
    own = parsing.parser(command, f"{chosen.about}\n\npython -m {command}", "runs/benchmark")
    for name, default, about in chosen.options:
        own.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{about} (%(default)s)")
    options = own.parse_args(given[1:])

    def body() -> int:
        for name, *_ in chosen.options:
            command_line.positive(name, getattr(options, name))
        return perform(what, options)

    return command_line.call(body, options.device if chosen.device else "auto")


if __name__ == "__main__":
    command_line.leave(main())
