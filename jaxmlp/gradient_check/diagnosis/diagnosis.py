"""What is wrong with a backward pass, in words: its first wrong quantity and the layer of that quantity.

The network is known, and therefore all right deltas. From the output layer down, each layer's leaves are compared with
those that the right delta gives. If they differ, every mistake of `known_mistakes` is tried, until one reproduces the
wrong leaves. The search continues below with the delta of that mistake, so that its consequences are not reported. If
no mistake reproduces them, the finding names the layer and describes its leaves. A delta that no leaf shows is not
reported.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jaxmlp.gradient_check.diagnosis.known_mistakes import BackwardState
from jaxmlp.gradient_check.diagnosis.layer import Step, examine
from jaxmlp.gradient_check.diagnosis.layouts import Leaves
from jaxmlp.gradient_check.diagnosis.looks import close
from jaxmlp.gradient_check.diagnosis.plain_network import Floats, forward, leaf_gradients
from jaxmlp.gradient_check.diagnosis.recognition import Recognised
from jaxmlp.showing import lines, page, table

__all__ = ["Diagnosis", "Finding", "diagnose"]


class Finding(NamedTuple):
    """One wrong quantity: "delta", "dL/dW" or "dL/db" of ``layer`` (1..L, as in the lecture) and what is wrong.

    Where both leaves of a layer are wrong and no delta explains them, the quantity is "dL/dW and dL/db".
    """

    layer: int
    quantity: str
    explanation: str

    def __str__(self) -> str:
        """A sentence."""
        return f"{self.quantity} of layer {self.layer} {self.explanation}"


class Diagnosis(NamedTuple):
    """The wrong quantities in the sequence of the backward pass, the first mistake first.

    Attributes:
        findings: what is wrong.
        n_layers: L.
        right: what is right above the first finding, in words, or "".
        unknown: the highest wrong layer without a finding, since the delta above it is not known; 0 if there is none.
    """

    findings: tuple[Finding, ...]
    n_layers: int
    right: str = ""
    unknown: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def sentences(self) -> tuple[str, ...]:
        """What is wrong, the first mistake first; then what is right above it; then which layers stay unknown."""
        if self.ok:
            return ("every delta, dL/dW and dL/db is right",)
        below = "layer 1" if self.unknown == 1 else f"layers {self.unknown} to 1"
        more = f"{below}: wrong as well, it may follow from that" if self.unknown else ""
        return tuple(filter(None, [*map(str, self.findings), self.right, more]))

    def __str__(self) -> str:
        """The sentences, one per line."""
        return "\n".join(self.sentences())

    def __repr__(self) -> str:
        return f"Diagnosis({self.sentences()[0]})"

    def _repr_html_(self) -> str:
        """The sentences for a notebook, with a table of one line per finding."""
        first, *others = self.sentences()
        rows = [(finding.layer, finding.quantity, finding.explanation) for finding in self.findings]
        found = table(("layer", "quantity", "what is wrong"), rows) if rows else ""
        return page(first, found, lines(others[max(len(rows) - 1, 0) :]), ok=self.ok)


def diagnose(
    network: Recognised, leaves: Sequence[Floats], gradient: Sequence[Leaves], limit: float, floor: float
) -> Diagnosis:
    """Find the first wrong quantity of a backward pass from the gradient that it returns.

    Args:
        network: with its activations, loss and scale.
        leaves: of the parameters.
        gradient: dL/dW ``[n_l, n_(l-1)]`` and dL/db ``[n_l]`` of each layer, as the user has them; None for a missing
            leaf. A wrong shape is a finding.
        limit: norm-wise relative error up to which leaves are equal.
        floor: rounding error of a leaf that is zero, relative to its largest possible magnitude.
    """
    weights, biases = map(list, zip(*network.arrangement.split(leaves), strict=True))
    passed = forward(network.form, weights, biases, network.x)
    right, made = leaf_gradients(network.form, weights, biases, passed, network.y)
    state = BackwardState(network.form, len(weights), weights, biases, *passed, network.y, None, right)
    if (swapped := _reversed(made, gradient, limit)) is not None:
        return swapped
    findings: list[Finding] = []
    said, unknown = "", 0
    for layer in reversed(range(1, len(weights) + 1)):
        state = state._replace(layer=layer)
        step = examine(state, *gradient[layer - 1], limit, floor)
        if unknown and step.found:  # the delta above is not known: what is wrong here may follow from it
            return Diagnosis(tuple(findings), len(weights), said, layer)
        if step.found and not findings:
            said = _right_so_far(step, layer, len(weights))
        findings += [Finding(layer, *words) for words in step.found]
        unknown = 0 if step.delta is not None else layer
        state = state._replace(above=right[layer - 1] if step.delta is None else step.delta)
    return Diagnosis(tuple(findings), len(weights), said)


def _right_so_far(step: Step, layer: int, n_layers: int) -> str:
    quantities = [quantity for quantity, _ in step.found]
    if step.delta is not None and "delta" not in quantities and len(quantities) == 1:
        return f"delta of layer {layer} is right"  # the other leaf shows it
    return f"everything down to layer {layer + 1} is right" if layer < n_layers else ""


def _reversed(made: Sequence[Leaves], gradient: Sequence[Leaves], limit: float) -> Diagnosis | None:
    """The finding that all layers are right but in reversed order; ``made`` are the right leaves."""

    def equal(right: Sequence[Leaves]) -> bool:
        pairs = [pair for layers in zip(gradient, right, strict=True) for pair in zip(*layers, strict=True)]
        return all(a is None or (b is not None and close(a, b, limit)) for a, b in pairs)

    if equal(made) or not equal(made[::-1]):
        return None
    words = f"is that of layer 1: the layers are in reversed order, {len(gradient)} to 1"
    return Diagnosis((Finding(len(gradient), "gradient", words),), len(gradient))
