"""What ``experiments.gradient_check`` says of what it found: verdicts, exit codes, numbers; the findings made here."""

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import gradient_check
from experiments.gradient_cases import data_check, planted_check, random_networks
from experiments.gradient_cases.data_check import CheckConfig, Result
from experiments.gradient_cases.planted_mistakes import MISTAKES, applies
from experiments.gradient_cases.random_networks import RandomNetwork
from experiments.support.own_data import DataConfig
from jaxmlp import (
    ACTIVATIONS,
    Dataset,
    GradientReport,
    LectureStream,
    automatic_gradient,
    compare_gradients,
    hand_derived_gradient,
)
from jaxmlp.gradient_check import (  # fmt: skip
    Diagnosis,
    Finding,
    NumericalResult,
    StepSweep,
    automatic_hessian_vector,
    compare_trees,
)
from tests.commands import catch_writes
from tests.helpers import assert_agree, random_params, rejects

PARAMS = random_params(0, (64, 2, 10))
RIGHT, WRONG = Diagnosis((), 2), Diagnosis((Finding(2, "delta", "has its sign flipped"),), 2)


def report(wrong: float = 0.0) -> GradientReport:
    """Three gradients, the hand-derived one too large by a share."""

    def function(factor: float) -> Callable[..., Any]:
        return lambda *_: (jnp.float64(1), jax.tree.map(lambda leaf: leaf * factor, PARAMS))

    names = {"hand-derived": 1 + wrong, "automatic": 1.0, "numerical": 1.0}
    return compare_gradients(
        {name: function(factor) for name, factor in names.items()}, PARAMS, jnp.ones(1), jnp.ones(1)
    )


def products(wrong: float = 0.0) -> GradientReport:
    return compare_trees({"hand-derived": np.ones(3) + wrong, "automatic": np.ones(3)})


SWEEP = StepSweep(np.array([1e-2, 1e-3, 1e-4]), (), np.array([1e-5, 1e-9, 1e-7]), np.array([1e-4, 1e-3]))


def found(gradients: float = 0, second_order: float = 0, diagnosis: Diagnosis = RIGHT) -> Result:
    sweeps = {"order 2": SWEEP, "order 4": SWEEP}
    epochs = np.array([0, 1e-15, 2e-15, 3e-15, np.inf])
    settings = CheckConfig((2,), "tanh", batch_size=7)
    return Result(settings, report(gradients), products(second_order), sweeps, epochs, diagnosis, 0.5)


@pytest.mark.parametrize(
    ("result", "code"),
    [(found(), 0), (found(gradients=1e-3), 1), (found(second_order=1e-3), 1), (found(diagnosis=WRONG), 1)],
)
def test_first_and_second_derivative_and_backward_pass_each_decide_the_exit_code(
    result: Result, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    monkeypatch.setattr(data_check, "run", lambda *_: result)
    assert gradient_check.main([]) == code
    record = json.loads(json.dumps(files["report.json"]))
    assert record["ok"] is (code == 0)
    assert record["gradients"]["ok"] is result.gradients.ok
    assert record["hessian_vector_products"]["ok"] is result.second_order.ok
    assert record["backward_pass"] == str(result.diagnosis)
    assert str(result.second_order) in capsys.readouterr().out


def test_what_was_found_on_the_digits_is_printed_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    result = found()
    monkeypatch.setattr(data_check, "run", lambda *_: result)
    assert gradient_check.main(["--hidden", "2", "--activation", "tanh", "--batch-size", "7"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{result.gradients}\n\nHessian-vector product along a random direction\n")
    assert out.splitlines()[-8:] == [
        "",
        "backward pass: every delta, dL/dW and dL/db is right",
        "numerical, order 4: 160 parameters in 0.50 s, compilation included",  # 64 * 2 + 2 + 2 * 10 + 10
        "numerical, order 2: best error 1.0e-09, plateau of steps 1.0e-04 to 1.0e-03",
        "numerical, order 4: best error 1.0e-09, plateau of steps 1.0e-04 to 1.0e-03",
        "64-20-10 trained with either gradient, largest difference by epoch:",
        "    0, 1.0e-15, 2.0e-15, 3.0e-15, inf",
        "wrote report.json, agreement.png",
    ]
    record = json.loads(json.dumps(files["report.json"]))
    assert {name: record[name] for name in ("hidden", "activation", "dtype", "batch_size", "seed")} == {
        "hidden": [2], "activation": "tanh", "dtype": "float64", "batch_size": 7, "seed": 0,
    }  # fmt: skip
    assert record["training_differences"] == [0, 1e-15, 2e-15, 3e-15, None]
    assert record["step_sweeps"]["order 4"] == {
        "steps": [1e-2, 1e-3, 1e-4], "errors": [1e-5, 1e-9, 1e-7], "plateau": [1e-4, 1e-3],
    }  # fmt: skip
    assert record["seconds_numerical"] == 0.5
    figure = files["agreement.png"]
    assert figure.get_suptitle() == "64-2-10, tanh, float64, 7 digits"
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["W$_1$", "b$_1$", "W$_2$", "b$_2$"]


@pytest.mark.parametrize(("name", "ok"), [("gradient", (False, True)), ("hessian_vector", (True, False))])
def test_a_derivative_wrong_by_a_thousandth_is_found_on_the_first_digits(
    name: str, ok: tuple[bool, bool], digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    automatic = {"gradient": automatic_gradient, "hessian_vector": automatic_hessian_vector}[name]

    def wrong(activation: str) -> Callable[..., Any]:
        asked.append(activation)
        return lambda *given: jax.tree.map(lambda leaf: leaf * 1.001, automatic(activation)(*given))

    class Numerical:
        def result(self, *given: Any) -> Any:
            asked.append(given)
            return NumericalResult(jnp.zeros(()), given[0], None, None, None)

        def __call__(self, *given: Any) -> Any:
            return automatic_gradient()(*given)

    def diagnose(function: Any, *given: Any) -> Diagnosis:
        asked.append((*given, function(*given[:3])[1][0].biases))
        return RIGHT

    nothing: Any = None
    monkeypatch.setattr(data_check, f"hand_derived_{name}", wrong)
    # What else it looks at would take seconds to compile.
    monkeypatch.setattr(
        data_check, "numerical_gradient", lambda *how, **named: asked.append((how, named)) or Numerical()
    )
    monkeypatch.setattr(data_check, "compare_backward", diagnose)
    monkeypatch.setattr(data_check, "sweep", lambda *how: how[:2])
    monkeypatch.setattr(data_check, "drift", lambda *_: nothing)
    result = data_check.run(CheckConfig((), "relu", batch_size=3, seed=2))
    assert (result.gradients.ok, result.second_order.ok, result.ok) == (*ok, False)
    rows = result.second_order.rows if ok[0] else result.gradients.pair("automatic", "hand-derived")
    assert max(row.norm_relative for row in rows) == pytest.approx(0.001 / 1.001)
    assert result.sweeps == {"order 2": ("relu", 2), "order 4": ("relu", 4)}
    assert "relu" in asked
    assert (("relu",), {"order": 4}) in asked
    network = LectureStream(2).params((64, 10), "float64"), digits.x_train[:3], digits.y_train[:3]
    assert_agree([given for given in asked if len(given) == 3], [network])
    (*given, activation, biases) = asked[-1]
    assert_agree(given, [*network])
    assert activation == "relu"
    scale = 1 if ok[0] else 1.001  # the backward pass that is diagnosed is the hand-derived one
    np.testing.assert_allclose(biases, scale * automatic_gradient()(*network)[1][0].biases, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [0, 1498])
def test_a_batch_is_1_to_all_training_rows(batch_size: int) -> None:
    with rejects(f"batch size is {batch_size}, expected 1..1497"):
        data_check.run(CheckConfig(batch_size=batch_size))


def test_a_sweeps_errors_are_norms_against_the_automatic_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    automatic = (np.array([[3.0, 0.0]]), np.array([4.0]))  # norm 5
    gradients = (np.array([[[3.0, 1.0]], [[3.0, 0.0]]]), np.array([[4.0], [4.5]]))
    steps = StepSweep(jnp.array([0.1, 0.01]), gradients, jnp.ones(2), jnp.array([0.01, 0.1]))

    class Numerical:
        def result(self, *_: Any) -> Any:
            return NumericalResult(jnp.zeros(()), None, None, None, steps)

    def numerical(*how: Any) -> Numerical:
        asked.append(how)
        return Numerical()

    monkeypatch.setattr(data_check, "numerical_gradient", numerical)
    given: Any = automatic
    result = data_check.sweep("relu", 4, given, jnp.ones(1), jnp.ones(1), given)
    assert asked == [("relu", "sweep", 4)]
    np.testing.assert_allclose(result.errors, [0.2, 0.1])
    np.testing.assert_allclose(result.steps, [0.1, 0.01])
    np.testing.assert_allclose(result.plateau, [0.01, 0.1])


def test_drift_trains_both_gradients_epoch_by_epoch_on_the_same_orders(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []

    def train_epochs(state: Any, _: Any, orders: Any, rate: Any, config: Any, gradient: Any) -> tuple[Any, None]:
        trained.append((orders, float(rate.learning_rate), config.activation, config.batch_size))
        more = 0.5 if gradient == hand_derived_gradient("tanh") else 0.25
        first, *others = state.params
        return state._replace(params=(first._replace(weights=first.weights + more), *others)), None

    monkeypatch.setattr(data_check, "train_epochs", train_epochs)
    differences = data_check.drift(digits, CheckConfig(activation="tanh", seed=3))
    np.testing.assert_allclose(differences, [0.25, 0.5, 0.75, 1, 1.25])
    stream = LectureStream(3)
    stream.params((64, 20, 10), "float64")
    orders = np.asarray(stream.orders(5, 1497))
    assert [tuple(rest) for _, *rest in trained] == [(0.2, "tanh", 1)] * 10
    np.testing.assert_array_equal(np.concatenate([given for given, *_ in trained]), np.repeat(orders, 2, axis=0))


def test_the_options_choose_what_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    shows = {"show_data": data_check, "show_random": random_networks, "show_planted": planted_check}
    for code, (name, module) in enumerate(shows.items(), 5):
        monkeypatch.setattr(module, name, lambda *how, code=code: asked.append(how) or code)
    every = ["--activation", "relu", "--dtype", "float32", "--batch-size", "9", "--seed", "4", "--out", "o"]
    assert gradient_check.main([]) == gradient_check.main(["--hidden", "3", *every]) == 5
    assert gradient_check.main(["--hidden"]) == 5
    assert gradient_check.main(["--random-networks", "2"]) == 6
    assert gradient_check.main(["--random-networks", "2", *every]) == 6
    assert gradient_check.main(["--planted-mistake", "all"]) == 7
    assert gradient_check.main(["--planted-bug", "half-precision", *every]) == 7
    assert asked == [
        (CheckConfig((20, 10), "sigmoid", "float64", 32, 0), "runs/gradient_check", DataConfig()),
        (CheckConfig((3,), "relu", "float32", 9, 4), "o", DataConfig()),
        (CheckConfig(()), "runs/gradient_check", DataConfig()),
        (2, 0, "float64", tuple(ACTIVATIONS), "runs/gradient_check"),
        (2, 4, "float32", ("relu",), "o"),
        ("all", 0),
        ("half-precision", 4),
    ]


# Planted mistakes.


@pytest.mark.parametrize(
    ("name", "sizes", "activation", "possible"),
    [
        ("transposed-weights", (4, 4, 4), ("tanh",), True), ("transposed-weights", (4, 5, 4), ("tanh",), False),
        ("sign-flipped", (4, 5, 4), ("tanh",), True), ("sign-flipped", (4, 4), (), False),
        ("derivative-of-sigmoid", (4, 5, 4), ("tanh",), True),
        ("derivative-of-sigmoid", (4, 5, 5, 4), ("tanh", "sigmoid"), False),
    ],
)  # fmt: skip
def test_a_mistake_applies_to_networks_in_which_it_can_be_made(
    name: str, sizes: tuple[int, ...], activation: tuple[str, ...], possible: bool
) -> None:
    assert applies(name, sizes, activation) is possible


@pytest.mark.parametrize(
    ("finding", "right"),
    [
        (Finding(3, "delta", "has its sign flipped"), True), (Finding(2, "delta", "has its sign flipped"), False),
        (Finding(3, "dL/db", "has its sign flipped"), False), (Finding(3, "delta", "is wrong"), False), (None, False),
    ],
)  # fmt: skip
def test_a_mistake_is_diagnosed_where_the_first_finding_names_its_layer_quantity_and_kind(
    finding: Finding | None, right: bool
) -> None:
    network = RandomNetwork(random_params(0, (2, 3, 4, 2)), jnp.ones(2), jnp.ones(2), ("tanh", "tanh"))
    other = Finding(3, "delta", "has its sign flipped")
    diagnosis = Diagnosis((finding, other) if finding else (), 3)
    assert planted_check.diagnosed("sign-flipped", network, diagnosis) is right


@pytest.mark.parametrize(("missed", "code"), [(None, 0), ("softmax-twice", 1)])
def test_a_mistake_that_is_missed_once_is_counted_and_exit_1(
    missed: str | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    networks: list[Any] = []
    caught, right = report(1e-3), report()
    first = Finding(2, "delta", "has its sign flipped")

    def planted(name: str, network: Any) -> tuple[GradientReport, Diagnosis]:
        networks.append((name, network))
        miss = name == missed and network == 23
        return (right if miss else caught), Diagnosis((first,) if network == 4 else (), 2)

    monkeypatch.setattr(planted_check, "mistaken_network", lambda _, seed: seed)
    monkeypatch.setattr(planted_check, "planted", planted)
    monkeypatch.setattr(planted_check, "diagnosed", lambda *given: not given[2].ok)
    assert planted_check.show_planted("all", 4) == code
    assert networks == [(name, seed) for name in MISTAKES for seed in range(4, 24)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "mistake"
    assert [line.split(maxsplit=3) for line in lines[2:]] == [
        [name, "19" if name == missed else "20", "1", str(first)] for name in MISTAKES
    ]


@pytest.mark.parametrize(("wrong", "code"), [(0.0, 0), (1e-3, 1)])
def test_one_mistake_is_shown_with_report_and_diagnosis_and_exit_1_where_it_shows(
    wrong: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = report(wrong)
    monkeypatch.setattr(planted_check, "mistaken_network", lambda name, seed: (name, seed))
    monkeypatch.setattr(
        planted_check, "planted", lambda name, network: (shown, WRONG) if network == (name, 6) else None
    )
    assert planted_check.show_planted("softmax-twice", 6) == code
    assert capsys.readouterr().out == f"softmax-twice: delta_L times h(1-h)\n{shown}\n\n{WRONG}\n"
