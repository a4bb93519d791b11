"""A recognised network and the diagnosis of its backward pass, made of a check's measurements."""

import numpy as np

from jaxmlp.gradient_check.answer import LeafCheck
from jaxmlp.gradient_check.calling import Parameters
from jaxmlp.gradient_check.diagnosis import Arrangement, Leaves, Recognised, diagnose
from jaxmlp.gradient_check.gradients import Returned

__all__ = ["by_layer", "diagnosed"]


def diagnosed(
    network: Recognised | None, parameters: Parameters, returned: Returned, rows: list[LeafCheck], holds: bool,
    asked: bool,
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    """The network in words, and sentences: what is wrong first. Nothing is said that the measurements contradict."""
    wrong = [row for row in rows if not row.ok and row.verdict not in ("unknown", "extra")]
    if network is None or not holds:
        return ("no network known here" if asked else ""), ()
    leaves = parameters.split(parameters.theta)
    words = network.words(leaves)
    if not wrong:
        return words, ()
    single = any("float" in name and name != "float64" for name in returned.dtypes)
    limit = max(1e-10, 1e3 * network.error)
    # Formulas take 0 for the derivative at a kink; a person may take another. What could not be told is left out.
    told = [
        None if row.kinks or row.verdict == "unknown" else leaf
        for leaf, row in zip(returned.leaves, rows, strict=False)
    ]
    gradient = by_layer(network.arrangement, told, parameters.shapes)
    diagnosis = diagnose(network, leaves, gradient, 3e-5 if single else limit, 1.2e-7 if single else 2.2e-16)
    if diagnosis.ok:  # wrong beyond what a diagnosis takes for rounding, or missing
        return words, ()
    return words, diagnosis.sentences()


def by_layer(
    arrangement: Arrangement, returned: list[np.ndarray | None], shapes: list[tuple[int, ...]]
) -> list[Leaves]:
    """dL/dW and dL/db of each layer as a diagnosis takes them; a leaf of a wrong shape stays as it is."""
    layers: list[Leaves] = []
    for at, biases in arrangement.layers:
        w = returned[at]
        right = w is not None and w.shape == shapes[at]
        if w is not None and w.ndim == 2:
            w = w.T if arrangement.inputs_first else w
        elif w is not None and right:
            w = w.reshape(1, -1)
        if arrangement.bias in ("first", "last"):
            layers.append((w, None) if w is None or not right else
                          (w[:, 1:], w[:, 0]) if arrangement.bias == "first" else (w[:, :-1], w[:, -1]))  # fmt: skip
            continue
        b = None if biases is None else returned[biases]
        if (
            b is not None
            and biases is not None
            and (b.shape == shapes[biases] or b.size == int(np.prod(shapes[biases])) == 1)
        ):
            b = b.ravel()
        layers.append((w, b))
    return layers
