"""Many larger networks of one shape at once: a sweep, and what people write by hand for it in JAX and in PyTorch.

All train the same networks, from the same weights, in the same sequences, and measure the same after each epoch. The
`Outcome` is that of the first network. Compiling is part of the first call.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.contenders import Outcome, Prepared
from experiments.benchmarks.workloads import Floats, Task, Workload, make

__all__ = ["LARGER", "MANY", "Many", "batched_torch", "name_of", "sweep", "vmap_of_scan"]


class Many(NamedTuple):
    """How many networks, their optimiser (sgd or adam), its learning rate, and the last training rows that validate."""

    networks: int
    optimizer: str
    learning_rate: float
    validation: int


LARGER = {
    Workload((784, 128, 10), 128, "float32", 2): Many(32, "adam", 0.001, 512),
    Workload((64, 64, 10), 32, "float32", 10): Many(256, "sgd", 0.2, 313),  # 1,184 rows are left, 37 batches
}


def name_of(workload: Workload) -> str:
    """As 32 of 784-128-10, batch 128, adam."""
    many = LARGER[workload]
    sizes = "-".join(map(str, workload.sizes))
    return f"{many.networks} of {sizes}, batch {workload.batch_size}, {many.optimizer}"


def _drawn(workload: Workload, epochs: int, n: int) -> tuple[list[list[Floats]], NDArray[np.int32]]:
    """For each network its weights, and the sample orders ``[N, epochs, n]``, as a sweep draws them."""
    from jaxmlp.sweep import Trial, initial_weights, order_streams

    trials = [Trial(workload.sizes[1:-1], seed=seed) for seed in range(LARGER[workload].networks)]
    weights = [initial_weights(trial, workload.sizes[0], workload.sizes[-1]) for trial in trials]
    streams = order_streams(trial.seed for trial in trials)
    orders = [[streams[trial.seed].permutation(n) for _ in range(epochs)] for trial in trials]
    return [list(each) for each in weights], np.array(orders, np.int32)


def _split(task: Task, workload: Workload) -> tuple[tuple[Floats, NDArray[Any]], ...]:
    """Rows and labels to train, to validate and to test on."""
    n = len(task.x_train) - LARGER[workload].validation
    assert n % workload.batch_size == 0
    return (
        (task.x_train[:n], task.labels_train[:n]), (task.x_train[n:], task.labels_train[n:]),
        (task.x_test, task.labels_test),
    )  # fmt: skip


def sweep(workload: Workload, *_: str) -> Prepared:
    """jaxmlp, from packing to outcomes, without a database."""
    import jax

    from jaxmlp import runtime
    from jaxmlp.engine import device_mesh, lanes_of
    from jaxmlp.lecture import make_dataset
    from jaxmlp.sweep import make_space
    from jaxmlp.sweep.blocks import hold_out, pack, train_block

    runtime.configure_sweep(workload.dtype)
    task, many = make(workload), LARGER[workload]
    dataset = make_dataset(task.x_train, task.labels_train, task.x_test, task.labels_test, 10, workload.dtype)
    data: Any = jax.tree.map(np.asarray, hold_out(dataset, many.validation))
    trials = make_space(
        {
            "hidden": [list(workload.sizes[1:-1])],
            "batch_size": [workload.batch_size],
            "optimizer": [many.optimizer],
            "learning_rate": [many.learning_rate],
            "seeds": [f"0:{many.networks}"],
        }
    ).trials()

    def call() -> Outcome:
        blocks = list(pack(trials, data, lanes_of(device_mesh())))
        found = dict(zip(blocks[0].trials, train_block(blocks[0], workload.epochs, data), strict=True))
        for block in blocks[1:]:
            found |= zip(block.trials, train_block(block, workload.epochs, data), strict=True)
        first = found[trials[0]]
        return Outcome(float(first.loss[0]), float(first.loss[-1]), first.train_accuracy, first.test_accuracy)

    return call, 0.0


def vmap_of_scan(workload: Workload, *_: str) -> Prepared:
    """``jit(vmap(scan(scan)))`` with optax, the networks sharded over all devices."""
    jax, optax = (importlib.import_module(name) for name in ("jax", "optax"))
    numpy, many = jax.numpy, LARGER[workload]
    train, validation, test = _split(make(workload), workload)
    transform = (optax.adam if many.optimizer == "adam" else optax.sgd)(many.learning_rate)

    def forward(params: Any, x: Any) -> Any:
        for weights, biases in params[:-1]:
            x = jax.nn.sigmoid(x @ weights.T + biases)
        return x @ params[-1][0].T + params[-1][1]

    def loss_of(params: Any, x: Any, labels: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), labels).mean()

    def accuracy_of(params: Any, x: Any, labels: Any) -> Any:
        return (forward(params, x).argmax(1) == labels).mean()

    def network(params: Any, orders: Any, rows: Any) -> Any:
        (x, labels), held_out, tested = rows

        def update(carry: Any, batch: Any) -> Any:
            params, state = carry
            loss, gradient = jax.value_and_grad(loss_of)(params, x[batch], labels[batch])
            updates, state = transform.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), loss

        def epoch(carry: Any, order: Any) -> Any:
            carry, losses = jax.lax.scan(update, carry, order.reshape(-1, workload.batch_size))
            return carry, (losses.mean(), loss_of(carry[0], *held_out), accuracy_of(carry[0], *held_out))

        (params, _), measured = jax.lax.scan(epoch, (params, transform.init(params)), orders)
        return measured, accuracy_of(params, x, labels), accuracy_of(params, *tested)

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
    split, whole = (jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)) for axes in (["devices"], []))
    program = jax.jit(jax.vmap(network, in_axes=(0, 0, None)), in_shardings=(split, split, whole), out_shardings=split)
    rows = jax.device_put((train, validation, test), whole)

    def call() -> Outcome:
        weights, orders = _drawn(workload, workload.epochs, len(train[0]))
        # Devices take equal shares: the last networks are trained twice where there are too few.
        take = np.minimum(np.arange(-(-many.networks // mesh.size) * mesh.size), many.networks - 1)
        layers = [np.stack(each).astype(workload.dtype)[take] for each in zip(*weights, strict=True)]
        params = [(numpy.asarray(w), numpy.zeros(w.shape[:2], w.dtype)) for w in layers]
        (losses, *_), trained, tested = jax.tree.map(np.asarray, program(params, orders[take], rows))
        return Outcome(float(losses[0, 0]), float(losses[0, -1]), float(trained[0]), float(tested[0]))

    return call, 0.0


def batched_torch(workload: Workload, *_: str) -> Prepared:
    """PyTorch with a leading axis for the networks: ``baddbmm``, gradients by hand, updates in place, all threads."""
    torch: Any = importlib.import_module("torch")
    many, rate = LARGER[workload], LARGER[workload].learning_rate
    train, validation, test = (
        (torch.from_numpy(x), torch.from_numpy(labels)) for x, labels in _split(make(workload), workload)
    )
    x, one_hot = train[0], torch.nn.functional.one_hot(train[1], 10).to(train[0].dtype)

    def forward(params: Sequence[Any], x: Any) -> list[Any]:
        w1, b1, w2, b2 = params
        h = torch.sigmoid(torch.baddbmm(b1[:, None], x, w1.mT))
        return [h, torch.baddbmm(b2[:, None], h, w2.mT)]

    def gradients(params: Sequence[Any], rows: Any) -> tuple[Any, list[Any]]:
        x_batch, y = x[rows], one_hot[rows]
        h, logits = forward(params, x_batch)
        logs = torch.log_softmax(logits, 2)
        delta = (logs.exp() - y) / rows.shape[1]
        back = torch.bmm(delta, params[2]) * h * (1 - h)
        found = [torch.bmm(back.mT, x_batch), back.sum(1), torch.bmm(delta.mT, h), delta.sum(1)]
        return -(logs * y).sum(2).mean(1), found

    def adam(params: Sequence[Any], found: Sequence[Any], moments: Sequence[Any], step: int) -> None:
        for p, g, m, v in zip(params, found, moments[0], moments[1], strict=True):
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            scale = (v / (1 - 0.999**step)).sqrt_().add_(1e-8)
            p.addcdiv_(m, scale, value=-rate / (1 - 0.9**step))

    def accuracy(params: Sequence[Any], rows: tuple[Any, Any]) -> tuple[Any, Any]:
        logits = forward(params, rows[0].expand(many.networks, -1, -1))[1]
        loss = torch.nn.functional.cross_entropy(
            logits.permute(0, 2, 1), rows[1].expand(many.networks, -1), reduction="none"
        )
        return loss.mean(1), (logits.argmax(2) == rows[1]).double().mean(1)

    def call() -> Outcome:
        weights, orders = _drawn(workload, workload.epochs, len(x))
        layers = [torch.from_numpy(np.stack(each).astype(workload.dtype)) for each in zip(*weights, strict=True)]
        params = [part for w in layers for part in (w, torch.zeros(w.shape[:2], dtype=w.dtype))]
        moments = [[torch.zeros_like(p) for p in params] for _ in range(2)]
        step, losses = 0, list[Any]()
        with torch.no_grad():
            for order in torch.from_numpy(orders).long().permute(1, 0, 2):
                total = torch.zeros(many.networks)
                for rows in order.split(workload.batch_size, 1):
                    step += 1
                    loss, found = gradients(params, rows)
                    total += loss
                    if many.optimizer == "adam":
                        adam(params, found, moments, step)
                    else:
                        for p, g in zip(params, found, strict=True):
                            p.sub_(g, alpha=rate)
                accuracy(params, validation)
                losses.append(total[0].item() * workload.batch_size / len(x))
            scores = [accuracy(params, rows)[1][0].item() for rows in (train, test)]
        return Outcome(losses[0], losses[-1], *scores)

    return call, 0.0


MANY: dict[str, Callable[..., Prepared]] = {
    "a sweep of larger networks": sweep,
    "jit(vmap(scan)), sharded": vmap_of_scan,
    "PyTorch, batched by hand": batched_torch,
}
