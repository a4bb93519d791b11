"""The fused kernel: a block of threads trains one network for whole epochs, with its weights on the chip.

Written in NVIDIA Warp, which compiles the same source for a CPU (blocks of one thread) and for NVIDIA's GPUs. The
passes over one sample are in `passes.py`, the update is here. `launch.py` calls it from JAX.
"""

# Warp compiles this Python to another language; its types are made at run time, which no type checker can follow.
# pyright: reportInvalidTypeForm=false, reportUnknownParameterType=false, reportMissingParameterType=false
# pyright: reportOperatorIssue=false, reportIndexIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportUntypedFunctionDecorator=false

import functools
from typing import Any

import warp as wp

from jaxmlp.engine.fused import passes
from jaxmlp.engine.fused.passes import Plan, element
from jaxmlp.engine.fused.shares import COPIES

__all__ = ["epochs_kernel"]


def update_one(plan: Plan, optimizer: str, decays: bool) -> Any:
    """The update (7) as optax makes it: the function ``(w, p, gradient, given)`` of a thread's parameter p.

    ``given`` contains minus the learning rate, momentum, weight decay and Adam's two corrections.
    """
    Parameters, real, size = plan.Parameters, plan.real, plan.size
    momentum, nesterov, adam = optimizer in ("momentum", "nesterov"), optimizer == "nesterov", optimizer == "adam"
    # Optax's constants. 1 - 0.999 is computed in float64 and rounded once: float32 would keep four digits of it.
    beta1, beta2, rest1, rest2, epsilon = (real(number) for number in (0.9, 0.999, 1 - 0.9, 1 - 0.999, 1e-8))
    number_of, Given = element(Parameters, real), wp.types.vector(5, real)

    @wp.func
    def update(w: wp.ref[Parameters], p: int, gradient: real, given: Given):
        own = number_of(w, p)
        step = gradient
        if adam:
            first = beta1 * number_of(w, size + p) + rest1 * gradient
            second = beta2 * number_of(w, 2 * size + p) + rest2 * gradient * gradient
            w[size + p] = first
            w[2 * size + p] = second
            step = first * given[3] / (wp.sqrt(second * given[4]) + epsilon)
        if decays:
            step += given[2] * own
        if momentum:
            velocity = step + given[1] * number_of(w, size + p)
            w[size + p] = velocity
            if nesterov:
                step += given[1] * velocity
            else:
                step = velocity
        w[p] = own + given[0] * step  # (7)

    return update


def update_layer(plan: Plan, number: int, optimizer: str, decays: bool, batched: bool) -> Any:
    """The function ``(w, gradient, x, h, delta, given)`` of a layer after a sample.

    It adds to the gradient of the batch, or, where each update takes one sample, updates the parameters at once.
    """
    Parameters, Hidden, Deltas, Sample, real = plan.Parameters, plan.Hidden, plan.Deltas, plan.Sample, plan.real
    _, n_in, n_out, at, _, inputs, _, deltas = plan.shares[number]
    first, update = number == 0, update_one(plan, optimizer, decays)
    Gradient, Given = wp.types.vector(plan.size if batched else 1, real), wp.types.vector(5, real)
    slope_of = element(Gradient, real)

    @wp.func
    def layer(w: wp.ref[Parameters], gradient: wp.ref[Gradient], x: Sample, h: Hidden, delta: Deltas, given: Given):
        for j in range(n_in + 1):  # the biases follow the weights, as if their input were 1
            value = real(1.0)
            if j < n_in:
                value = x[j] if first else h[inputs + j]
            for k in range(n_out):
                p = at + j * n_out + k
                slope = value * delta[deltas + k]  # (4), (5)
                if batched:
                    gradient[p] = slope_of(gradient, p) + slope
                else:
                    update(w, p, slope, given)

    return layer


def update_all(plan: Plan, optimizer: str, decays: bool) -> Any:
    """The function ``(w, gradient, given)``: all parameters of a thread, at the end of a batch."""
    Parameters, Gradient = plan.Parameters, wp.types.vector(plan.size, plan.real)
    size, zero, Given = plan.size, plan.real(0.0), wp.types.vector(5, plan.real)
    update, slope_of = update_one(plan, optimizer, decays), element(Gradient, plan.real)

    @wp.func
    def all_of_them(w: wp.ref[Parameters], gradient: wp.ref[Gradient], given: Given):
        for p in range(size):
            update(w, p, slope_of(gradient, p), given)
            gradient[p] = zero

    return all_of_them


def infinities(plan: Plan, copies: int) -> Any:
    """The function ``(w) -> count``: how many threads have a number that is not finite."""
    real, Parameters, Line, size = plan.real, plan.Parameters, plan.Line, plan.size
    one, sum_up, number_of = real(1.0), passes.block_sum(plan, 1), element(Parameters, real)

    @wp.func
    def counted(w: wp.ref[Parameters]):
        found = Line()
        for p in range(size):
            for copy in range(copies):
                if not wp.isfinite(number_of(w, copy * size + p)):
                    found[0] = one
        found = sum_up(found)
        return found[0]

    return counted


@functools.cache
def epochs_kernel(
    sizes: tuple[int, ...],
    activations: tuple[str, ...],
    optimizer: str,
    decays: bool,
    batched: bool,
    dtype: str,
    threads: int,
) -> Any:
    """The Warp kernel for networks of one shape, launched over ``[T, threads]``: a block per network.

    Its arguments are arrays: learning rate, momentum and weight decay ``[T, 3]``, masks ``[T, threads, kept]``, updates
    made before ``[T]`` (Adam's), alive ``[T]``, orders ``[O, epochs, n]``, x ``[n, n_0]``, y ``[n, n_L]``; the batch
    size; read and written: parameters ``[T, threads, copies * size]``; written: losses and lives, ``[T, epochs]``.

    Args:
        sizes: ``(n_0, .., n_L)``.
        activations: of `jaxmlp.engine.fused.shares.KINDS`, one per hidden layer.
        optimizer: of `jaxmlp.engine.fused.shares.COPIES`.
        decays: whether there is weight decay.
        batched: whether the batch size is over 1.
        dtype: float32 or float64.
        threads: of a block: 1 on a CPU, whole warps of 32 on a GPU.
    """
    copies = COPIES[optimizer]
    plan = passes.plan(sizes, activations, copies, dtype, threads)
    real, n_layers, adam = plan.real, len(plan.shares), optimizer == "adam"
    Parameters, Hidden, Deltas, Line = plan.Parameters, plan.Hidden, plan.Deltas, plan.Line
    Sample, Target, Given = plan.Sample, plan.Target, wp.types.vector(5, real)
    Gradient = wp.types.vector(plan.size if batched else 1, real)
    forward = [passes.forward_layer(plan, number) for number in range(n_layers)]
    backward = [passes.backward_layer(plan, number) for number in reversed(range(n_layers))]
    update = [update_layer(plan, number, optimizer, decays, batched) for number in range(n_layers)]
    gathered, both, all_of_them = (
        passes.everywhere(plan),
        passes.loss_and_delta(plan),
        update_all(plan, optimizer, decays),
    )
    infinite, zero, one = infinities(plan, copies), real(0.0), real(1.0)

    # Short loops are left to the compilers, which unroll them where that helps.
    @wp.kernel(
        module="unique", enable_backward=False, grid_stride=False,
        module_options={"max_unroll": 1, "block_dim": threads},
    )  # fmt: skip
    def epochs(
        hyperparameters: wp.array2d(dtype=real),
        masks: wp.array2d(dtype=Hidden),
        counts: wp.array(dtype=wp.int32),
        alive: wp.array(dtype=wp.bool),
        orders: wp.array3d(dtype=wp.int32),
        x: wp.array(dtype=Sample),
        y: wp.array(dtype=Target),
        batch_size: wp.int32,
        parameters: wp.array2d(dtype=Parameters),
        losses: wp.array2d(dtype=real),
        lives: wp.array2d(dtype=wp.bool),
    ):
        network, thread = wp.tid()  # pyright: ignore[reportAssignmentType]
        w, mask, gradient, given = Parameters(parameters[network, thread]), masks[network, thread], Gradient(), Given()
        for i in range(3):
            given[i] = hyperparameters[network, i]
        given[0] = -given[0]  # adding a product takes a GPU one instruction, subtracting it two
        # Adam's corrections, in float64 for the same reason as the complements.
        power1 = wp.pow(wp.float64(0.9), wp.float64(counts[network]))
        power2 = wp.pow(wp.float64(0.999), wp.float64(counts[network]))
        n, order = orders.shape[2], network // (parameters.shape[0] // orders.shape[0])
        living = bool(alive[network])
        for epoch in range(orders.shape[1]):
            total = real(0.0)
            if living:
                for turn in range(n):
                    row = orders[order, epoch, turn]
                    share, complete = real(1.0), bool(True)
                    if batched:
                        within = turn % batch_size
                        samples = wp.min(batch_size, n - turn + within)
                        share, complete = one / real(samples), within == samples - 1
                    h, g, delta = Hidden(), Line(), Deltas()
                    for number in range(wp.static(n_layers)):
                        h, g = wp.static(forward[number])(w, mask, x[row], h)
                    loss, end = both(gathered(g, thread), y[row], share)
                    total += loss
                    for number in range(wp.static(n_layers)):
                        delta = wp.static(backward[number])(w, mask, h, end, thread, delta)
                    if adam:
                        if complete:
                            power1 *= wp.float64(0.9)
                            power2 *= wp.float64(0.999)
                            given[3] = real(wp.float64(1.0) / (wp.float64(1.0) - power1))
                            given[4] = real(wp.float64(1.0) / (wp.float64(1.0) - power2))
                    for number in range(wp.static(n_layers)):
                        wp.static(update[number])(w, gradient, x[row], h, delta, given)
                    if batched:
                        if complete:
                            all_of_them(w, gradient, given)
                living = wp.isfinite(total) and infinite(w) == zero
                if living:  # a network that diverges in this epoch keeps what was written after the epoch before
                    parameters[network, thread] = w
            if thread == 0:
                losses[network, epoch] = total / real(n)
                lives[network, epoch] = living

    return epochs
