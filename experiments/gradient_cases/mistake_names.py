"""The names of the planted mistakes, for the options: the keys of `planted_mistakes.MISTAKES`."""

__all__ = ["MISTAKE_NAMES"]

MISTAKE_NAMES = (
    "missing-derivative", "derivative-at-g", "derivative-wrong-layer", "derivative-twice", "derivative-of-sigmoid",
    "transposed-weights", "updated-weights", "delta-not-passed-on", "weights-left-out", "half-precision",
    "sign-flipped", "softmax-twice", "softmax-jacobian-twice", "sum-not-mean", "labels-shifted", "samples-shifted",
    "logits-for-probabilities", "biases-forgotten", "wrong-activation", "wrong-previous-activation", "pre-activation",
    "transposed-gradient", "last-sample-missing", "one-element",
)  # fmt: skip
