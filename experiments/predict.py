"""A saved network tested on the digits: its accuracy, and the digits it gets wrong with its probabilities.

python -m experiments.predict runs/train/model.safetensors
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.support import command_line
from experiments.support.training_run import N_CLASSES, N_IN
from jaxmlp import InputError, Model, figures, forward, load, load_digits, load_images, runtime
from jaxmlp.models import model_of
from jaxmlp.network import sizes_of


class Result(NamedTuple):
    """What a network predicts for the digits.

    Attributes:
        model: the network.
        labels: ``[300]``, of the test set.
        probabilities: ``[300, 10]``.
        train_accuracy: of the 1,497 training images, a share 0..1.
    """

    model: Model
    labels: NDArray[Any]
    probabilities: NDArray[Any]
    train_accuracy: float

    @property
    def predicted(self) -> NDArray[Any]:
        """``[300]``."""
        return np.argmax(self.probabilities, axis=1)

    @property
    def test_accuracy(self) -> float:
        """A share, 0..1."""
        return float(np.mean(self.predicted == self.labels))


def run(path: str) -> Result:
    """Load the network and evaluate it, in the dtype of its parameters; prints nothing.

    Raises:
        InputError: not a model file, or a network that is not made for the digits.
    """
    found = load(path)
    model = found if isinstance(found, Model) else model_of(found)
    sizes = sizes_of(model.params)
    if (sizes[0], sizes[-1]) != (N_IN, N_CLASSES):
        raise InputError(f"{path!r} holds a network {sizes}, expected {N_IN} inputs and {N_CLASSES} classes")
    if model.classes is not None and model.classes.tolist() != list(range(N_CLASSES)):
        raise InputError(f"{path!r} holds a network for the classes {model.classes.tolist()}, expected the digits 0..9")
    dtype = str(model.params[0].weights.dtype)
    runtime.configure(dtype)
    digits = load_digits(dtype)
    logits = jax.jit(forward, static_argnums=2)
    train, test = (logits(model.params, x, model.activation) for x in (digits.x_train, digits.x_test))
    train_accuracy = float(np.mean(np.argmax(np.asarray(train), axis=1) == np.asarray(digits.labels_train)))
    return Result(model, np.asarray(digits.labels_test), np.asarray(jax.nn.softmax(test)), train_accuracy)


def draw(result: Result, name: str) -> Figure:
    """Every test digit that the network gets wrong, the surest mistakes first: those of the highest probability."""
    images, labels = load_images()
    wrong = np.flatnonzero(result.predicted != result.labels)
    wrong = wrong[np.argsort(-np.max(result.probabilities[wrong], axis=1), kind="stable")]
    n = len(result.labels)
    share = 100 * result.test_accuracy
    title = (
        f"{name}: {len(wrong)} of {n} test digits wrong ({share:.1f} % right), the surest mistakes first\n"
        "probabilities: orange, of the digit it is taken for; green, of the digit it is"
    )
    return figures.mistakes(images[:n][wrong], labels[:n][wrong], result.probabilities[wrong], title)


def table(result: Result) -> str:
    """The mistakes, one per line, the surest first."""
    sure = np.max(result.probabilities, axis=1)
    wrong = np.flatnonzero(result.predicted != result.labels)
    lines = [
        (f"row {row}", str(result.labels[row]), str(result.predicted[row]), f"{100 * sure[row]:.1f} %",
         f"{100 * result.probabilities[row, result.labels[row]]:.1f} %")
        for row in wrong[np.argsort(-sure[wrong], kind="stable")]
    ]  # fmt: skip
    return command_line.table(("image", "digit", "taken for", "probability", "of the digit"), lines)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command_line.parser("experiments.predict", __doc__)
    parser.add_argument("model", metavar="MODEL", help="a file written by an experiment or by jaxmlp.save")
    options = parser.parse_args(arguments)

    def body() -> int:
        result = run(options.model)
        folder = command_line.output_folder(options.out)
        sizes = "-".join(map(str, sizes_of(result.model.params)))
        print(table(result))
        print(
            f"{sizes}: training accuracy {100 * result.train_accuracy:.3f} %, "
            f"test accuracy {100 * result.test_accuracy:.3f} %"
        )
        print(command_line.write(folder, {"mistakes.png": draw(result, f"{Path(options.model).name}, {sizes}")}))
        return 0

    return command_line.call(body, options.device)


if __name__ == "__main__":
    sys.exit(main())
