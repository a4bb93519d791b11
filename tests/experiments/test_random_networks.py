"""``random_networks``: what is drawn, how far gradients differ on it, and who decides the verdict."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.gradient_cases import random_networks
from experiments.gradient_cases.random_networks import Errors
from jaxmlp import automatic_gradient
from jaxmlp.gradient_check import automatic_hessian_vector
from jaxmlp.gradient_check.functions.numerical import NumericalResult
from tests.commands import catch_writes
from tests.helpers import rejects


def test_the_worst_of_the_random_networks_decides_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    errors = {
        7: Errors(1e-12, 3e-13, 1e-9, 2, 1000, True),  # at the limit of 1e-12
        8: Errors(1e-13, 2e-11, 2e-9, 3, 500, True),  # above that of 1e-11
        9: Errors(1e-14, 1e-12, 5e-8, 0, 20, True),
    }
    asked: list[Any] = []

    def measure(seed: int, **how: Any) -> Errors:
        asked.append((seed, how))
        return errors[seed]

    monkeypatch.setattr(random_networks, "measure", measure)
    assert random_networks.show_random(3, 7, "float64", ("tanh",), "o") == 1
    assert capsys.readouterr().out.splitlines() == [
        "3 networks, 1,520 parameters, float64",
        "against automatic  largest error  limit  network  verdict",
        "-----------------  -------------  -----  -------  -------",
        "gradient                 1.0e-12  1e-12        7  agree",
        "hessian-vector           2.0e-11  1e-11        8  differ",
        "numerical                5.0e-08  1e-07        9  agree",
        "5 elements cross a kink of relu and are left out",
        "wrote random_networks.json",
    ]
    drawn = {"alike": 5, "dtype": "float64", "depths": (0, 6), "activations": ("tanh",), "numerical": True}
    assert asked == [(seed, drawn) for seed in (7, 8, 9)]
    record = files["random_networks.json"]
    assert (record["seed"], record["activations"], record["depths"]) == (7, ("tanh",), (0, 6))
    assert record["networks"] == [each._asdict() for each in errors.values()]
    errors[8] = errors[7]
    assert random_networks.show_random(3, 7, "float64", ("tanh",), "o") == 0


def test_float32_has_limits_of_its_own_and_no_numerical_gradient(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catch_writes(monkeypatch)
    asked: list[Any] = []
    monkeypatch.setattr(
        random_networks, "measure", lambda _, **how: asked.append(how) or Errors(2e-5, 1e-4, None, 0, 9, True)
    )
    assert random_networks.show_random(1, 0, "float32", ("relu",), "o") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[3:5]] == ["differ", "agree"]
    assert len(lines) == 6
    assert (asked[0]["numerical"], asked[0]["depths"], asked[0]["dtype"]) == (False, (0, 3), "float32")
    with rejects("random networks are 0, expected 1 or more"):
        random_networks.show_random(0, 0, "float32", ("relu",), "o")


def test_errors_are_the_largest_of_any_leaf_without_the_elements_that_cross_a_kink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: dict[str, Any] = {"depths": (1, 1), "widths": (3, 3), "batches": (2, 2)}
    network = random_networks.random_network(3, **drawn)
    directions: list[Any] = []

    def times(*factors: float) -> Any:
        leaves, tree = jax.tree.flatten(network.params)
        return tree.unflatten([np.asarray(leaf) * factor for leaf, factor in zip(leaves, factors, strict=True)])

    def program(_: Any, direction: Any, *__: Any) -> Any:
        directions.append(direction)
        return times(1, 1, 0.75, 1), times(1, 1, 1, 1), times(1, 1, 1, 1), times(1, 0.5, 1, 0.875)

    def numerical(*_: Any) -> Any:
        gradient, kinks = times(1, 1, 1, 1), jax.tree.map(lambda leaf: np.zeros(leaf.shape, bool), network.params)
        gradient[0].weights[0, 1] = 1e9
        kinks[0].weights[0, 1] = True
        gradient[1].biases[:] *= 0.5
        return NumericalResult(jnp.zeros(()), gradient, kinks, None, None)

    monkeypatch.setattr(random_networks, "_program", lambda _: program)
    monkeypatch.setattr(random_networks, "_numerical_program", lambda _: numerical)
    measured = random_networks.measure(3, **drawn)
    # 3-3-3 are 24 parameters.
    assert measured == Errors(pytest.approx(0.25), pytest.approx(0.5), pytest.approx(0.5), 1, 24, False)  # pyright: ignore
    assert random_networks.measure(3, numerical=False, **drawn)[2:4] == (None, 0)
    random_networks.measure(4, numerical=False, **drawn)
    weights = [np.asarray(each[0].weights) for each in directions]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_random_network_is_within_what_it_is_drawn_from() -> None:
    seen: list[tuple[Any, ...]] = []
    for seed in range(0, 40, 2):
        network = random_networks.random_network(
            seed, "float32", depths=(1, 2), widths=(2, 3), batches=(4, 5), activations=("relu", "tanh"), alike=2
        )
        widths = [layer.weights.shape for layer in network.params]
        assert len(widths) in (2, 3)
        assert len(network.activation) == len(widths) - 1
        assert {width for shape in widths for width in shape} <= {2, 3}
        assert network.x.shape[0] in (4, 5)
        assert set(network.activation) <= {"relu", "tanh"}
        np.testing.assert_array_equal(network.y.sum(axis=1), 1)
        seen += [("depth", len(widths)), ("batch", network.x.shape[0]), *(("width", shape[0]) for shape in widths)]
        seen += [("activation", name) for name in network.activation]
        assert {leaf.dtype for leaf in jax.tree.leaves((network.params, network.x, network.y))} == {np.dtype("float32")}
        square = random_networks.random_network(seed, depths=(2, 2), widths=(2, 9), square=True)
        assert len({width for layer in square.params for width in layer.weights.shape}) == 1
    ends = [("depth", 2), ("depth", 3), ("batch", 4), ("batch", 5), ("width", 2), ("width", 3)]
    assert set(seen) == {*ends, ("activation", "relu"), ("activation", "tanh")}  # both ends are drawn
    large = random_networks.random_network(0, depths=(1, 1), widths=(64, 64), batches=(99, 99))
    deviations = [float(np.std(values)) for values in (large.params[0].weights, large.params[0].biases, large.x)]
    np.testing.assert_allclose(deviations, [1 / 8, 0.3, 1], rtol=0.25)


def test_what_is_measured_is_the_hand_derived_beside_the_automatic(monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(function: Any, factor: float) -> Any:
        return lambda *given: jax.tree.map(lambda leaf: leaf * factor, function(*given))

    monkeypatch.setattr(random_networks, "hand_derived_gradient", lambda _: scaled(automatic_gradient(()), 0.75))
    monkeypatch.setattr(
        random_networks, "hand_derived_hessian_vector", lambda _: scaled(automatic_hessian_vector(()), 0.5)
    )
    random_networks._program.cache_clear()  # pyright: ignore[reportPrivateUsage]
    measured = random_networks.measure(0, numerical=False, depths=(0, 0), widths=(3, 3), batches=(2, 2))
    random_networks._program.cache_clear()  # pyright: ignore[reportPrivateUsage]
    np.testing.assert_allclose(measured[:2], [0.25, 0.5])
