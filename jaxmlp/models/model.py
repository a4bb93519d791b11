"""A trained network with all that is needed to use it: activation, classes, and how samples become its inputs."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jaxmlp.checks import InputError, sizes_of
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.losses import output_of
from jaxmlp.lecture.network import ActivationName, Params, forward
from jaxmlp.runtime import computing
from jaxmlp.showing import page, table
from jaxmlp.tables import Preparation, Table, read_columns

__all__ = ["Model", "trained_model"]


@functools.partial(jax.jit, static_argnums=(2, 3))
def _outputs(params: Params, x: Array, activation: ActivationName, output: str) -> Array:
    return output_of(output).value(forward(params, x, activation))


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained network, as a model file contains it.

    Attributes:
        params: L layers, float32 or float64; NumPy arrays when loaded, so that float64 stays float64.
        activation: of the hidden layers, one name or a tuple of one per layer.
        classes: the labels of the outputs, numbers, booleans or strings ``[n_L]``; None: 0 .. n_L - 1.
        details: how it was trained: whatever JSON can hold.
        classifier: the settings of its estimator, see `jaxmlp.models.estimator_model`.
        preparation: how raw samples become inputs; None: they are the inputs.
        output: of the last layer, a name of `jaxmlp.OUTPUTS`.
    """

    params: Params
    activation: ActivationName = "sigmoid"
    classes: NDArray[Any] | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    classifier: Mapping[str, Any] | None = None
    preparation: Preparation | None = None
    output: str = "softmax"

    def __repr__(self) -> str:
        return f"Model({', '.join(self._facts().values())})"

    def _repr_html_(self) -> str:
        """The network in a notebook: what it is, and how it was trained."""
        facts, data = self._facts(), self.details.get("data")
        trained: dict[str, Any] = {"data": data.get("data") or "a table"} if isinstance(data, Mapping) else {}
        for name, value in self.details.items():
            if name not in facts and isinstance(value, (str, int, float, list)):
                trained[name.replace("_", " ")] = value
        network = facts.pop("network")
        if "test_accuracy" in facts:
            facts["test accuracy"] = facts.pop("test_accuracy").removeprefix("test accuracy ")
        return page(f"Model {network}", table(("", ""), [*facts.items(), *trained.items()]))

    def _facts(self) -> dict[str, str]:
        """Facts about the network, by name."""
        sizes, dtype = sizes_of(self.params), np.asarray(self.params[0].weights).dtype
        columns = None if self.preparation is None else self.preparation.columns
        facts = {
            "network": "-".join(map(str, sizes)),
            "activation": self.activation if isinstance(self.activation, str) else ", ".join(self.activation),
            "output": self.output,
            "dtype": str(dtype),
            "inputs": _listed(f"{sizes[0]:,} inputs{'' if self.preparation else ', prepared as in training'}", columns),
            "outputs": _listed(f"{sizes[-1]:,} outputs", self.classes),
        }
        accuracy = self.details.get("test_accuracy")
        return (
            {**facts, "test_accuracy": f"test accuracy {100 * accuracy:.1f} %"}
            if isinstance(accuracy, float)
            else facts
        )

    def probabilities(self, x: Any) -> NDArray[Any]:
        """The probability of each class, or of each label of several, ``[n, n_L]``, in the parameters' dtype.

        Args:
            x: raw samples ``[n, n_0]``, which the preparation turns into inputs; or a pandas DataFrame, whose columns
                are found by name.

        Raises:
            InputError: columns that are missing, not numeric or of another number; a network that predicts numbers.
        """
        if self.output == "identity":
            raise InputError("the network predicts numbers, expected one whose outputs are probabilities")
        return self._outputs(x)

    def _outputs(self, x: Any) -> NDArray[Any]:
        with computing(np.asarray(self.params[0].weights).dtype.name):
            return np.asarray(_outputs(self.params, self.inputs(x), self.activation, self.output))

    def predict(self, x: Any) -> NDArray[Any]:
        """The label of the likeliest class of each sample, ``[n]``; arguments and errors as `probabilities`.

        For several labels at once it gives 0 or 1 for each label, for numbers the numbers: ``[n, n_L]``.
        """
        found = self._outputs(x)
        if self.output != "softmax":
            return found if self.output == "identity" else (found > 0.5).astype(np.int64)
        likeliest = np.argmax(found, axis=1)
        return likeliest if self.classes is None else self.classes[likeliest]

    def inputs(self, x: Any) -> NDArray[np.float64]:
        """The network's inputs ``[n, n_0]`` from raw samples; arguments and errors as `probabilities`."""
        wanted = None if self.preparation is None else self.preparation.columns
        found = read_columns(x if hasattr(x, "iloc") else {"x": x}, wanted=wanted)
        n_in = sizes_of(self.params)[0]
        if self.preparation is not None:
            return self.preparation.inputs(found.x[:, self.preparation.places(found.names, found.x.shape[1])])
        if found.x.shape[1] != n_in:
            raise InputError(f"samples have {found.x.shape[1]:,} columns, expected {n_in:,}")
        return found.x


def _listed(words: str, names: Any) -> str:
    """``words`` with the first of the names, if there are any."""
    if names is None:
        return words
    return f"{words} ({', '.join(map(str, names[:3]))}{', ..' if len(names) > 3 else ''})"


def trained_model(params: Params, activation: ActivationName, dataset: Dataset, details: Mapping[str, Any]) -> Model:
    """The Model of a network that was trained on a dataset: of a Table, with its classes and its preparation.

    ``details`` get an entry ``data``, the `Table.source`. For a file it has the name alone: the folder is private.
    """
    if not isinstance(dataset, Table):
        return Model(params, activation, np.arange(dataset.y_train.shape[1]), {**details, "data": None})
    source = {**dataset.source, "data": dataset.source["data"] and Path(dataset.source["data"]).name}
    return Model(params, activation, dataset.classes, {**details, "data": source}, preparation=dataset.preparation)
