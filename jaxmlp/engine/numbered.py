"""An activation chosen by data, so that one program serves networks of all activations."""

from collections.abc import Callable

import jax
from jax import Array

from jaxmlp.lecture.network import ACTIVATIONS, Activation

__all__ = ["number_of", "numbered"]


def number_of(activation: str) -> int:
    """The place of a name in `ACTIVATIONS`."""
    return list(ACTIVATIONS).index(activation)


def numbered(number: Array) -> Activation:
    """The row of `ACTIVATIONS` in place ``number``, a traced integer scalar: the same bits as by name.

    For a CPU, where the choice between the branches cannot be measured beside an update. A GPU would wait for the host.
    """

    def chosen(part: str) -> Callable[[Array], Array]:
        branches = [getattr(row, part) for row in ACTIVATIONS.values()]
        return lambda values: jax.lax.switch(number, branches, values)

    return Activation(chosen("value"), chosen("derivative"), chosen("second_derivative"))
