"""The classifier beside scikit-learn's, with the same hyperparameters: accuracy, training time, a search.

python -m experiments.benchmark estimator
"""

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from experiments.benchmarks.bars import bars
from experiments.benchmarks.contender_process import environment
from experiments.support import command_line
from jaxmlp import MLPClassifier, MLPClassifierSweep, runtime
from jaxmlp.sweep import choosing

THEIRS = "scikit-learn"
ACTIVATIONS = {"sigmoid": "logistic"}
LECTURE = {
    "hidden_layer_sizes": (20,), "activation": "sigmoid", "optimizer": "sgd", "learning_rate": 0.2, "batch_size": 1,
    "alpha": 0.0,
}  # fmt: skip
RATES = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8]
ADAM_RATES = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02]
GRID = {"hidden_layer_sizes": [(10,), (20,), (30,)], "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]}


class Case(NamedTuple):
    """A data set and hyperparameters by jaxmlp's names; the others have defaults, the same in both."""

    name: str
    data: str
    parameters: dict[str, Any]


CASES = (
    Case("digits", "digits", {}),
    Case("iris", "iris", {}),
    Case("wine", "wine", {}),
    Case("breast cancer", "breast_cancer", {}),
    Case("digits, the lecture's settings, 10 epochs", "digits", {**LECTURE, "max_iter": 10}),
)


class Search(NamedTuple):
    """90 candidates: `GRID` times six learning rates, on digits, five folds."""

    name: str
    parameters: dict[str, Any]
    rates: list[float]


SEARCHES = (
    Search("lecture's settings, 1 sample per update, 1 epoch", {**LECTURE, "max_iter": 1}, RATES),
    Search("sgd, 32 samples per update, 5 epochs", {**LECTURE, "batch_size": 32, "max_iter": 5}, RATES),
    Search("adam, 200 samples per update, 10 epochs", {"max_iter": 10}, ADAM_RATES),
)


class Row(NamedTuple):
    """What was measured.

    Attributes:
        case: the name of the case or of the search.
        name: the contender's.
        seconds: of each fit or search.
        seconds_before: how much longer the first one took: compiling.
        accuracy: of each fit; of a search, its best score.
    """

    case: str
    name: str
    seconds: list[float]
    seconds_before: float
    accuracy: list[float]


def load(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """One of scikit-learn's data sets: ``x [n, n_in]``, ``labels [n]``."""
    loaded: Any = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return loaded


def theirs(parameters: dict[str, Any], seed: int) -> Any:
    """scikit-learn's classifier with jaxmlp's parameters."""
    names = {"optimizer": "solver", "learning_rate": "learning_rate_init"}
    given = {names.get(name, name): value for name, value in parameters.items()}
    if "activation" in given:
        given["activation"] = ACTIVATIONS[given["activation"]]
    if given.get("solver") == "sgd":
        given |= {"momentum": 0, "nesterovs_momentum": False}
    classifier: Any = ScikitLearns
    return classifier(**given, random_state=seed)


def contenders(parameters: dict[str, Any]) -> dict[str, Callable[[int], Any]]:
    """Classifiers by name, each made from a seed."""
    return {
        "jaxmlp, float64": lambda seed: MLPClassifier(**parameters, random_state=seed, dtype="float64"),
        "jaxmlp, float32": lambda seed: MLPClassifier(**parameters, random_state=seed, dtype="float32"),
        THEIRS: lambda seed: theirs(parameters, seed),
    }


def fits(seeds: int, progress: Any) -> list[Row]:
    """Fit every case on ``seeds`` random splits, three quarters to train on; contenders take turns on each split."""
    rows: list[Row] = []
    for case in CASES:
        x, labels = load(case.data)
        made = contenders(case.parameters)
        found = {name: Row(case.name, name, [], 0.0, []) for name in made}
        first = dict.fromkeys(made, 0.0)
        for seed in range(-1, seeds):  # the first run, -1, only compiles
            split: list[Any] = train_test_split(x, labels, test_size=0.25, stratify=labels, random_state=max(seed, 0))
            scaler = StandardScaler().fit(split[0])
            train, test = scaler.transform(split[0]), scaler.transform(split[1])
            for name, make in made.items():
                classifier, start = make(max(seed, 0)), time.perf_counter()
                classifier.fit(train, split[2])
                seconds = time.perf_counter() - start
                if seed < 0:
                    first[name] = seconds
                else:
                    found[name].seconds.append(seconds)
                    found[name].accuracy.append(float(classifier.score(test, split[3])))
            progress.update()
        rows += [row._replace(seconds_before=max(0.0, first[name] - min(row.seconds))) for name, row in found.items()]
    return rows


def searches(repetitions: int) -> list[Row]:
    """Run every search with all contenders in turn; in a process of its own, with one device per core."""
    runtime.configure_sweep("float32")
    warnings.simplefilter("ignore")  # so few epochs do not converge
    x, labels = load("digits")
    x = StandardScaler().fit_transform(x)
    rows: list[Row] = []
    for search in SEARCHES:
        grid = {**GRID, "learning_rate": search.rates}
        their_grid = {**GRID, "learning_rate_init": search.rates}
        ours: Any = MLPClassifier(**search.parameters, random_state=0)
        made: dict[str, Callable[[], Any]] = {
            f"jaxmlp, {dtype}": lambda dtype=dtype, ours=ours, grid=grid: MLPClassifierSweep(
                ours.set_params(dtype=dtype), grid, cv=5, refit=False
            )
            for dtype in ("float64", "float32")
        }
        made[THEIRS] = lambda search=search, grid=their_grid: GridSearchCV(
            theirs(search.parameters, 0), grid, cv=5, refit=False, n_jobs=-1
        )
        found = {name: Row(search.name, name, [], 0.0, []) for name in made}
        for repetition in range(repetitions + 1):
            for name, make in made.items():
                if repetition == 0 and name == THEIRS:
                    continue  # it compiles nothing
                start = time.perf_counter()
                done = make().fit(x, labels)
                seconds = time.perf_counter() - start
                if repetition == 0:
                    found[name] = found[name]._replace(seconds_before=seconds)
                else:
                    found[name].seconds.append(seconds)
                    found[name].accuracy[:] = [float(done.best_score_)]  # the same each time
        rows += [row._replace(seconds_before=max(0.0, row.seconds_before - min(row.seconds))) for row in found.values()]
    return rows


def run(seeds: int = 10, repetitions: int = 2) -> list[list[Row]]:
    """Run the fits and the searches; prints nothing."""
    with command_line.bar(len(CASES) * (seeds + 1) + 1, "run") as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with threadpool_limits(1):  # these networks are too small for a second thread of the matrix library
            first = fits(seeds, progress)
        # Not with multiprocessing: joblib's workers would keep that process from ending.
        call = [sys.executable, "-m", "experiments.benchmarks.classifier_time", str(repetitions)]
        said = subprocess.run(call, env=environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
        progress.update()
    return [first, [Row(*row) for row in json.loads(said.splitlines()[-1])]]


def percent(values: NDArray[Any], sign: str = "") -> str:
    """Mean and 95 % interval of shares, in percent."""
    found = choosing.interval(values.tolist())
    text = f"{100 * found.mean:{sign}.2f}"
    return text if np.isnan(found.low) else f"{text} ({100 * found.low:{sign}.2f}..{100 * found.high:{sign}.2f})"


def table(rows: list[Row]) -> str:
    """Median, quartiles, how many times as fast as scikit-learn, accuracy, and accuracy minus scikit-learn's."""
    reference = {row.case: row for row in rows if row.name == THEIRS}
    lines: list[tuple[str, ...]] = []
    for row in rows:
        other = reference[row.case]
        low, middle, high = np.percentile(row.seconds, [25, 50, 75])
        more = np.asarray(row.accuracy) - np.asarray(other.accuracy)
        lines.append(
            (
                row.case, row.name, f"{middle:.3f}", f"{low:.3f}..{high:.3f}",
                f"{np.median(other.seconds) / middle:.1f}", f"{row.seconds_before:.2f}",
                percent(np.asarray(row.accuracy)), "" if row is other else percent(more, "+"),
            )
        )  # fmt: skip
    header = ("", "", "median s", "quartiles", "times as fast", "compiling s", "accuracy %", "minus scikit-learn's")
    return command_line.table(header, lines)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command_line.parser("experiments.benchmark estimator", __doc__, "runs/benchmark")
    parser.add_argument("--seeds", type=int, default=10, help="random splits of each data set (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=2, help="of the searches (%(default)s)")
    options = parser.parse_args(arguments)

    def body() -> int:
        for name in ("seeds", "repetitions"):
            command_line.positive(name, getattr(options, name))
        folder = command_line.output_folder(options.out)
        parts = run(options.seeds, options.repetitions)
        for part in parts:
            print(f"{table(part)}\n")
        where = runtime.environment()
        panels: dict[str, dict[str, float]] = {}
        for row in [row for part in parts for row in part]:
            panels.setdefault(row.case, {})[row.name] = float(np.median(row.seconds))
        labels = ["seconds per fit"] * len(CASES) + ["seconds: 90 candidates on 5 folds of the digits"] * len(SEARCHES)
        title = f"MLPClassifier with the same hyperparameters, medians: {where['cores']} cores, {where['processor']}"
        fitted, searched = ([row._asdict() for row in part] for part in parts)
        record = {"fits": fitted, "searches": searched, "environment": where}
        figure = bars(panels, labels, title, marked="jaxmlp")
        print(command_line.write(folder, {"benchmark_estimator.json": record, "benchmark_estimator.png": figure}))
        return 0

    return command_line.call(body, options.device)


if __name__ == "__main__":  # the searches alone, for `run`
    print(json.dumps(searches(int(sys.argv[1]))))
