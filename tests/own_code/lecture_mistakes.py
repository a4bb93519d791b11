"""Careless edits of the lecture's `backward`, each a line of it replaced: what a gradient check has to catch and name.

MISTAKES[name] = (the line, what stands there instead, words that the answer must contain, whether all layers must be
equally wide for the program still to run).
"""

import inspect

from tests.own_code import lecture

PASSED = "delta = (delta @ W[l]) * h[l] * (1 - h[l])"
DW, DB, OUTPUT, END = "dW[l] = np.outer(delta, h[l])", "db[l] = delta", "delta = h[L] - y", "return dW, db"
MISTAKES = {
    "sign": (OUTPUT, "delta = y - h[L]", "delta of layer 3 has its sign flipped", False),
    "softmax-twice": (OUTPUT, "delta = (h[L] - y) * h[L] * (1 - h[L])", "softmax applied twice", False),
    "no-labels": (OUTPUT, "delta = h[L]", "does not subtract the labels", False),
    "labels-shifted": (OUTPUT, "delta = h[L] - np.roll(y, 1)", "labels shifted by +1 (classes)", False),
    "logits": (OUTPUT, "delta = g[-1] - y", "uses g of the output layer instead of softmax(g)", False),
    "mean-of-classes": (OUTPUT, "delta = (h[L] - y) / 4", "scaled by 0.25", False),
    "squares": (OUTPUT, "delta = -y / h[L]", "misses the derivative of softmax", False),
    "no-derivative": (PASSED, "delta = delta @ W[l]", "delta of layer 2 misses the derivative", False),
    "no-factor-h": (PASSED, "delta = (delta @ W[l]) * (1 - h[l])", "misses a factor h_2", False),
    "no-factor-1-h": (PASSED, "delta = (delta @ W[l]) * h[l]", "takes for phi' h_2 itself", False),
    "tanh": (PASSED, "delta = (delta @ W[l]) * (1 - h[l] ** 2)", "the derivative of tanh", False),
    "at-g": (PASSED, "delta = (delta @ W[l]) * g[l-1] * (1 - g[l-1])", "takes phi' at g_2", False),
    "layer-above": (PASSED, "delta = (delta @ W[l]) * h[l+1] * (1 - h[l+1])", "takes phi' at h_3", True),
    "layer-below": (PASSED, "delta = (delta @ W[l]) * h[l-1] * (1 - h[l-1])", "takes phi' at h_1, the layer below", True),
    "wrapped": (PASSED, "delta = (delta @ W[l]) * h[-1] * (1 - h[-1])", "takes phi' at h_3", True),
    "transposed-W": (PASSED, "delta = (W[l] @ delta) * h[l] * (1 - h[l])", "W of layer 3 transposed", True),
    "other-W": (PASSED, "delta = (delta @ W[l-1]) * h[l] * (1 - h[l])", "W of layer 2 instead of layer 3", True),
    "no-W": (PASSED, "delta = delta * h[l] * (1 - h[l])", "not passed through W of layer 3", True),
    "updated-W": (DB, "db[l] = delta; W[l] = W[l] - 0.2 * dW[l]", "after its update (learning rate 0.2)", False),
    "in-place": (DB, "db[l] = delta; W[l] -= 0.2 * dW[l]", "gradient changes its parameters in place: W[0], W[1], W[2]",
                 False),
    "relu-of-delta": (PASSED, "delta = np.maximum((delta @ W[l]) * h[l] * (1 - h[l]), 0)", "negative elements set to 0",
                      False),
    "clipped": (PASSED, "delta = np.clip((delta @ W[l]) * h[l] * (1 - h[l]), -0.01, 0.01)", "clipped at 0.01", False),
    "rounded": (PASSED, "delta = np.round((delta @ W[l]) * h[l] * (1 - h[l]), 3)", "is rounded to 3 decimals", False),
    "float16": (PASSED, "delta = np.float16((delta @ W[l]) * h[l] * (1 - h[l])) * 1.0", "float16", False),
    "float32": (DW, "dW[l] = np.float32(np.outer(delta, h[l]))", "float32 where the other gradients are float64", False),
    "dropout": (PASSED, "delta = (delta @ W[l]) * h[l] * (1 - h[l]); delta[1::3] = 0", "delta of layer 2 is zero in unit",
                False),
    "transposed-dW": (DW, "dW[l] = np.outer(h[l], delta)", "is transposed", False),
    "dW-above": (DW, "dW[l] = np.outer(delta, h[l+1])", "dL/dW of layer 3 uses the activation of layer 3", True),
    "dW-at-g": (DW, "dW[l] = np.outer(delta, g[l-1] if l else x)", "uses the pre-activation g of layer 2", False),
    "dW-wrapped": (DW, "dW[l] = np.outer(delta, h[l-2])", "dL/dW of layer 3 uses the activation of layer 0", True),
    "L2": (DW, "dW[l] = np.outer(delta, h[l]) + 0.01 * W[l]", "an L2 part, 0.01 times W", False),
    "one-element": (END, "dW[1][2, 3] *= 1.001; return dW, db", "1.001 times the right value", False),
    "one-row": (END, "dW[1][2] = 0; return dW, db", "is zero in row 2", False),
    "db-summed": (DB, "db[l] = np.sum(delta)", "np.sum(delta), one number for all units", False),
    "db-forgotten": (DB, "db[l] = 0 * delta", "biases are forgotten", False),
    "db-doubled": (DB, "db[l] = 2 * delta", "dL/db of layer 3 is scaled by 2", False),
    "reversed": (END, "return dW[::-1], db[::-1]", "the layers are in reversed order", True),
    "not-passed-on": (PASSED, "delta = np.zeros(len(h[l]))", "delta of layer 3 is not passed on", False),
}  # fmt: skip


def wrong_backward(name: str):
    """The lecture's backward with one line replaced."""
    line, instead, _, _ = MISTAKES[name]
    source = inspect.getsource(lecture.backward)
    assert source.count(line) == 1
    names: dict = {}
    exec(source.replace(line, instead), vars(lecture).copy(), names)
    return names["backward"]
