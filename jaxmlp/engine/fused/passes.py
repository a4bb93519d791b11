"""Forward and backward pass of one sample, computed together by the threads of the fused kernel's block.

Equations (1) to (6) are those of `lecture.backprop`, copied for the kernel. `shares.py` says which thread holds what; a
function made here for a layer knows its share as constants, so that a GPU's compiler unrolls every loop
and keeps a thread's numbers in registers.
"""

# Warp compiles this Python to another language; its types are made at run time, which no type checker can follow.
# pyright: reportInvalidTypeForm=false, reportUnknownParameterType=false, reportMissingParameterType=false
# pyright: reportOperatorIssue=false, reportIndexIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportUntypedFunctionDecorator=false

from collections.abc import Sequence
from typing import Any, NamedTuple

import warp as wp

from jaxmlp.engine.fused.shares import KINDS, Share, divide

__all__ = [
    "Plan", "backward_layer", "block_sum", "element", "everywhere", "forward_layer", "loss_and_delta", "plan",
]  # fmt: skip


class Plan(NamedTuple):
    """What the functions of a kernel are made for; `real` and the types after it are Warp's vectors of it.

    Attributes:
        sizes: ``(n_0, .., n_L)``.
        kinds: places in `KINDS`, one per hidden layer.
        threads: of a block.
        shares: one per layer.
        size: parameters of a thread.
        real: Warp's float32 or float64.
        Parameters: those of a thread, then what the optimiser keeps of each.
        Hidden: activations, or masks, of the hidden layers' units that a thread keeps.
        Deltas: dL/dg of all layers' units that a thread keeps.
        Line: as long as any layer's units in a thread.
        Sample: a row of x.
        Target: a row of y.
    """

    sizes: tuple[int, ...]
    kinds: tuple[int, ...]
    threads: int
    shares: tuple[Share, ...]
    size: int
    real: Any
    Parameters: Any
    Hidden: Any
    Deltas: Any
    Line: Any
    Sample: Any
    Target: Any


def plan(sizes: tuple[int, ...], activations: Sequence[str], copies: int, dtype: str, threads: int) -> Plan:
    """The Plan of networks whose optimiser keeps ``copies`` numbers of each parameter, itself included."""
    real = {"float32": wp.float32, "float64": wp.float64}[dtype]
    division, vector = divide(sizes, threads), wp.types.vector
    shares, size, kept = division.shares, division.parameters.shape[1], division.hidden.shape[1]
    widest = max(sizes[-1], *(share.n_out for share in shares), *(share.n_in for share in shares[1:]))
    return Plan(
        sizes,
        tuple(KINDS.index(name) for name in activations),
        threads,
        shares,
        size,
        real,
        vector(size * copies, real),
        vector(kept, real),
        vector(sum(share.n_out for share in shares), real),
        vector(widest, real),
        vector(sizes[0], real),
        vector(sizes[-1], real),
    )


def block_sum(plan: Plan, count: int) -> Any:
    """A function that sums the first ``count`` numbers of a Line over the threads; every thread gets the sums."""
    Line, Part = plan.Line, wp.types.vector(count, plan.real)

    @wp.func
    def over_threads(line: Line):
        part = Part()
        for i in range(count):
            part[i] = line[i]
        total = wp.tile_sum(wp.tile(part, preserve_type=True))[0]
        for i in range(count):
            line[i] = total[i]
        return line

    return over_threads


def element(kind: Any, real: Any) -> Any:
    """The function ``(v, p) -> v[p]`` for a type of vectors by reference: Warp's own indexing would copy all of v."""

    @wp.func_native("return v[p];")
    def at(v: wp.ref[kind], p: int) -> real: ...

    return at


def activation(real: Any) -> tuple[Any, Any]:
    """The functions ``phi(kind, g)`` and ``phi'(kind, h)``, of the kind's number in `KINDS`."""
    zero, one = real(0.0), real(1.0)

    @wp.func
    def phi(kind: int, g: real):
        if kind == 1:
            return one / (one + wp.exp(-g))
        if kind == 2:
            return wp.tanh(g)
        if kind == 3:
            return wp.where(g < zero, zero, g)  # NaN stays NaN
        return g

    @wp.func
    def phi_prime(kind: int, h: real):
        if kind == 1:
            return h * (one - h)
        if kind == 2:
            return one - h * h
        if kind == 3:
            return wp.where(h > zero, one, zero)
        return one

    return phi, phi_prime


def forward_layer(plan: Plan, number: int) -> Any:
    """The function ``(w, mask, x, h) -> (h, g)`` of a layer; g are its pre-activations that the thread keeps."""
    Parameters, Hidden, Line, Sample = plan.Parameters, plan.Hidden, plan.Line, plan.Sample
    by_rows, n_in, n_out, at, biases, inputs, outputs, _ = plan.shares[number]
    first, hidden, by_columns = number == 0, number < len(plan.shares) - 1, not by_rows
    kind = plan.kinds[number] if hidden else 0
    (phi, _), sum_up = activation(plan.real), block_sum(plan, plan.sizes[number + 1])
    weight = element(Parameters, plan.real)

    @wp.func
    def layer(w: wp.ref[Parameters], mask: Hidden, x: Sample, h: Hidden):
        g = Line()
        for j in range(n_in):
            value = x[j] if first else h[inputs + j]
            for k in range(n_out):
                g[k] += weight(w, at + j * n_out + k) * value
        if by_columns:
            g = sum_up(g)
        for k in range(n_out):
            g[k] += weight(w, biases + k)  # (1)
            if hidden:
                h[outputs + k] = phi(kind, g[k]) * mask[outputs + k]  # (2)
        return h, g

    return layer


def everywhere(plan: Plan) -> Any:
    """The function ``(g, thread) -> g``: from the logits that a thread keeps to all of them."""
    Line, zero, threads, n_classes = plan.Line, plan.real(0.0), plan.threads, plan.sizes[-1]
    divided, each, sum_up = plan.shares[-1].by_rows, plan.shares[-1].n_out, block_sum(plan, n_classes)

    @wp.func
    def gathered(g: Line, thread: int):
        if divided:
            logits = Line()
            for o in range(
                n_classes
            ):  # by comparisons: an index that is known only at run time would put the logits into memory
                for k in range(each):
                    logits[o] += wp.where(thread + k * threads == o, g[k], zero)
            return sum_up(logits)
        return g

    return gathered


def loss_and_delta(plan: Plan) -> Any:
    """The function ``(logits, y, share) -> (loss, delta_L)`` of a sample; ``share`` is 1 / B."""
    real, Line, Target, n_classes = plan.real, plan.Line, plan.Target, plan.sizes[-1]

    @wp.func
    def both(logits: Line, y: Target, share: real):
        largest = logits[0]
        for o in range(n_classes):
            largest = wp.max(largest, logits[o])
        total, loss = real(0.0), real(0.0)
        for o in range(n_classes):
            logits[o] -= largest
            total += wp.exp(logits[o])
        for o in range(n_classes):
            loss += y[o] * (wp.log(total) - logits[o])
            logits[o] = (wp.exp(logits[o]) / total - y[o]) * share  # (3)
        return loss, logits

    return both


def backward_layer(plan: Plan, number: int) -> Any:
    """The function ``(w, mask, h, end, thread, delta) -> delta``: from a layer's deltas to those of the one before.

    The last layer first takes its own from ``end``, the deltas of all logits.
    """
    Parameters, Hidden, Deltas, Line = plan.Parameters, plan.Hidden, plan.Deltas, plan.Line
    by_rows, n_in, n_out, at, _, inputs, _, deltas = plan.shares[number]
    last, deep, zero = number == len(plan.shares) - 1, number > 0, plan.real(0.0)
    below, kind = (plan.shares[number - 1].delta, plan.kinds[number - 1]) if deep else (0, 0)
    (_, phi_prime), sum_up = activation(plan.real), block_sum(plan, plan.sizes[number])
    threads, n_classes, weight = plan.threads, plan.sizes[-1], element(Parameters, plan.real)

    @wp.func
    def layer(w: wp.ref[Parameters], mask: Hidden, h: Hidden, end: Line, thread: int, delta: Deltas):
        if last:
            for k in range(n_out):
                if by_rows:
                    for o in range(n_classes):
                        delta[deltas + k] += wp.where(thread + k * threads == o, end[o], zero)
                else:
                    delta[deltas + k] = end[k]
        if deep:
            back = Line()
            for j in range(n_in):
                for k in range(n_out):
                    back[j] += weight(w, at + j * n_out + k) * delta[deltas + k]
            if by_rows:
                back = sum_up(back)
            for j in range(n_in):
                delta[below + j] = back[j] * mask[inputs + j] * phi_prime(kind, h[inputs + j])  # (6)
        return delta

    return layer
