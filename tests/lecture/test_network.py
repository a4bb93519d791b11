from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import ACTIVATIONS, forward, forward_trace, init_params
from jaxmlp.checks import check_sizes, sizes_of
from jaxmlp.engine.layout import masked
from tests import oracle
from tests.helpers import DEPTHS, assert_agree, random_batch, random_params, rejects, worked_by_hand


def test_forward_pass_worked_by_hand() -> None:
    worked = worked_by_hand()
    assert_agree(forward_trace(worked.params, worked.x), worked.trace, 1e-15)
    assert_agree(forward(worked.params, worked.x), worked.trace.pre_activations[-1], 1e-15)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_layer_of_the_trace_is_the_oracles(activation: str, depth: int) -> None:
    params, (x, _) = random_params(depth, DEPTHS[depth]), random_batch(depth + 1, DEPTHS[depth])
    g, h = oracle.forward([(np.asarray(w), np.asarray(b)) for w, b in params], np.asarray(x), [activation] * depth)
    trace = forward_trace(params, x, activation)
    assert_agree(trace.pre_activations, tuple(g), 1e-13)
    assert_agree(trace.activations, tuple(h), 1e-13)


def test_by_default_the_activation_is_sigmoid_and_a_row_of_the_table_does_as_well_as_its_name() -> None:
    params, (x, _) = random_params(0, DEPTHS[2]), random_batch(1, DEPTHS[2])
    assert_agree(forward(params, x), forward(params, x, "sigmoid"))
    assert_agree(forward_trace(params, x), forward_trace(params, x, "sigmoid"))
    assert_agree(forward(params, x, ACTIVATIONS["tanh"]), forward(params, x, "tanh"))


def test_each_hidden_layer_has_its_own_activation_which_may_be_masked() -> None:
    params, (x, _) = random_params(0, DEPTHS[2]), random_batch(1, DEPTHS[2])
    masks = jnp.array([1.0, 0, 1, 2, 1]), jnp.array([0.0, 1, 1, 0.5])
    (w_1, b_1), (w_2, b_2), (w_3, b_3) = [(np.asarray(w), np.asarray(b)) for w, b in params]
    h_1 = np.tanh(w_1 @ np.asarray(x) + b_1) * [1, 0, 1, 2, 1]
    h_2 = np.maximum(w_2 @ h_1 + b_2, 0) * [0, 1, 1, 0.5]
    phi = masked(("tanh", "relu"), masks)
    trace = forward_trace(params, x, phi)
    assert_agree(trace.activations[1:3], (h_1, h_2), 1e-14)
    assert_agree(forward(params, x, phi), w_3 @ h_2 + b_3, 1e-14)


def test_any_batch_shape_gives_the_rows_that_samples_give_alone() -> None:
    params, (x, _) = random_params(0, DEPTHS[2]), random_batch(1, DEPTHS[2], (2, 3))
    alone = np.stack([[forward(params, jnp.asarray(sample)) for sample in row] for row in np.asarray(x)])
    assert_agree(forward(params, x), alone, 1e-14)
    assert_agree(forward_trace(params, x).activations[0], x)


def test_a_changed_neighbour_changes_nothing_here() -> None:
    params, (x, _) = random_params(0, DEPTHS[3]), random_batch(1, DEPTHS[3], (6,))
    others, changed = [0, 1, 3, 4, 5], np.array(x)
    changed[2] = 1e6
    assert_agree(np.asarray(forward(params, jnp.asarray(changed)))[others], np.asarray(forward(params, x))[others])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_derivative_in_terms_of_the_output_is_the_derivative(activation: str) -> None:
    phi = ACTIVATIONS[activation]
    g = jnp.array([-1e4, -3.0, -0.5, 0.0, 0.5, 3.0, 1e4])  # 0 is relu's kink
    assert_agree(phi.derivative(phi.value(g)), jax.vmap(jax.grad(phi.value))(g), 1e-14)


def test_activations_at_known_points() -> None:
    g = jnp.array([-1e4, 0.0, np.log(3), 1e4])
    # sigmoid(ln 3) = 3/(3 + 1), tanh(ln 3) = (9 - 1)/(9 + 1).
    known = {"identity": g, "sigmoid": [0, 0.5, 0.75, 1], "tanh": [-1, 0, 0.8, 1], "relu": [0, 0, np.log(3), 1e4]}
    for name, h in known.items():
        assert_agree(ACTIVATIONS[name].value(g), jnp.asarray(h, "float64"), 1e-15)
    assert set(known) == set(ACTIVATIONS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fresh_parameters_have_the_sizes_the_dtype_and_the_spread_asked_for(dtype: str) -> None:
    params = init_params(jax.random.key(0), (400, 90, 7), dtype)
    assert sizes_of(params) == (400, 90, 7)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(params)} == {dtype}
    # 36,000 draws: their deviation is within 2 % of 1/sqrt(400), five of its own standard errors.
    assert float(jnp.std(params[0].weights)) == pytest.approx(0.05, rel=0.02)
    assert float(jnp.mean(params[0].weights)) == pytest.approx(0, abs=0.05 * 5 / 36_000**0.5)
    assert not any(layer.biases.any() for layer in params)
    doubled = init_params(jax.random.key(0), (400, 90, 7), dtype, scale=2.0)
    assert_agree(doubled, jax.tree.map(lambda leaf: 2 * leaf, params), 1e-6)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((4, 0, 3), "width is 0, expected a whole number of 1 or more"),
        ((4, 2.7, 3), "width is 2.7, expected a whole number"),
        ((4, -20, 3), "width is -20, expected a whole number"),
        ((4,), "sizes are (4,), expected at least inputs and outputs"),
        ((), "sizes are (), expected at least inputs and outputs"),
        ((64, 10**6, 10**3), "sizes (64, 1000000, 1000) make 1,065,001,000 parameters, expected at most 100,000,000"),
    ],
)
def test_unusable_sizes_are_rejected(sizes: Any, message: str) -> None:
    with rejects(message):
        check_sizes(sizes)
    with rejects(message):
        init_params(jax.random.key(0), sizes)


def test_sizes_are_usable_up_to_100_million_parameters_from_width_1_and_in_numpys_integers() -> None:
    assert check_sizes((1, 1)) == (1, 1)
    assert check_sizes(list(np.array([4, 3]))) == (4, 3)
    assert check_sizes((9_999, 10_000)) == (9_999, 10_000)  # with biases exactly 100 million
    with rejects("make 100,010,000 parameters, expected at most 100,000,000"):
        check_sizes((9_999, 10_001))


def test_a_layer_that_does_not_fit_is_named_by_its_number() -> None:
    first, second = random_params(0, (4, 6, 3))
    for params, message in (
        ((first, first), "layer 2 has shapes (6, 4) and (6,), expected (6, 6) and (6,)"),
        (
            (first._replace(biases=second.biases), second),
            "layer 1 has shapes (6, 4) and (3,), expected (6, 4) and (6,)",
        ),
        ((), "parameters have no layer, expected one or more"),
    ):
        with rejects(message):
            sizes_of(params)
    assert sizes_of((first, second)) == (4, 6, 3)


def test_unusable_activations_are_rejected() -> None:
    params, (x, _) = random_params(0, DEPTHS[2]), random_batch(1, DEPTHS[2])
    for activation, message in [
        ("swish", "activation is 'swish', expected one of identity, sigmoid, tanh, relu"),
        (("tanh", "swish"), "activation is 'swish'"),
        (("tanh",), "1 activations given, expected one, or one for each of 2 hidden layers"),
        (("tanh",) * 3, "3 activations given, expected one, or one for each of 2 hidden layers"),
    ]:
        with rejects(message):
            forward(params, x, activation)
    with rejects("activation is 'swish'"):
        forward(params[:1], x, "swish")


@pytest.mark.parametrize("name", ["relu6", 3, None, ["softmax"], b"softmax", np.array(["softmax", "sigmoid"])], ids=str)
def test_an_output_that_is_no_name_of_the_table_is_rejected(name: Any) -> None:
    with rejects("expected one of softmax, sigmoid, identity"):
        forward_trace(random_params(0, (3, 2)), jnp.zeros(3), "sigmoid", name)


def test_unusable_dtypes_are_rejected() -> None:
    for dtype in ("int32", "float16", "banana"):
        with rejects(f"dtype is {dtype}, expected float32 or float64"):
            init_params(jax.random.key(0), (4, 3), dtype)
    with jax.enable_x64(False), rejects("dtype is float64 while JAX computes in float32"):
        init_params(jax.random.key(0), (4, 3), "float64")
