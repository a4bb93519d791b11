"""How fast jaxmlp is beside what people would otherwise use: all measured in one run, in turns, on this machine.

python -m experiments.benchmark training    one network, and the time from a cold start
python -m experiments.benchmark sweep       thousands of networks at once
python -m experiments.benchmark estimator   MLPClassifier beside scikit-learn's
python -m experiments.benchmark gpu         a GPU beside the CPU: thousands of networks, one, the classifier
"""

import sys

from experiments.benchmarks import classifier_time, gpu_time, sweep_time, training_time
from experiments.support import parsing

BENCHMARKS = {
    "training": training_time.main,
    "sweep": sweep_time.main,
    "estimator": classifier_time.main,
    "gpu": gpu_time.main,
}


def main(arguments: list[str] | None = None) -> int:
    """The command: the first argument names the benchmark, the others are passed on to it."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = parsing.Parser("python -m experiments.benchmark", __doc__)
    parser.add_argument("what", choices=BENCHMARKS, help="what to measure; WHAT --help tells its options")
    if not given:
        parser.print_help()
        return 2
    what = parser.parse_args(given[:1]).what
    return BENCHMARKS[what](given[1:])


if __name__ == "__main__":
    sys.exit(main())
