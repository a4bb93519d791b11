"""PyTorch, eager and compiled, as its users write it; installed with the extra ``bench``."""

import importlib
import time
from typing import Any

from experiments.benchmarks.contenders import Outcome, Prepared
from experiments.benchmarks.workloads import LEARNING_RATE, Task, Workload, make


def network(torch: Any, task: Task) -> Any:
    """The task's network as `torch.nn.Sequential`."""
    layers: list[Any] = []
    for weights, biases in zip(task.weights, task.biases, strict=True):
        linear = torch.nn.Linear(weights.shape[1], weights.shape[0], dtype=torch.from_numpy(weights).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights))
            linear.bias.copy_(torch.from_numpy(biases))
        layers += [linear, torch.nn.Sigmoid()]
    return torch.nn.Sequential(*layers[:-1])


def training(workload: Workload, compiled: bool) -> Prepared:
    """A training loop over batches; ``compiled`` puts forward, backward and update into one `torch.compile`."""
    torch: Any = importlib.import_module("torch")
    if workload.small:
        torch.set_num_threads(1)
    task = make(workload)
    x, y, x_test, y_test = (
        torch.from_numpy(part) for part in (task.x_train, task.labels_train, task.x_test, task.labels_test)
    )
    cross_entropy = torch.nn.functional.cross_entropy

    def eager_step(model: Any, optimizer: Any, rows: Any) -> Any:
        loss = cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def functional_step(model: Any, rows: Any) -> Any:
        params = dict(model.named_parameters())

        def loss_of(params: Any) -> Any:
            return cross_entropy(torch.func.functional_call(model, params, (x[rows],)), y[rows])

        gradients, loss = torch.func.grad_and_value(loss_of)(params)
        with torch.no_grad():
            for name, parameter in params.items():
                parameter -= LEARNING_RATE * gradients[name]
        return loss.detach()

    fast_step = torch.compile(functional_step) if compiled else None

    def train(orders: Any) -> Outcome:
        model = network(torch, task)
        optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
        losses: list[float] = []
        scores: list[float] = []
        for order in orders:
            total = torch.zeros((), dtype=x.dtype)
            for rows in torch.from_numpy(order).long().split(workload.batch_size):
                loss = fast_step(model, rows) if fast_step else eager_step(model, optimizer, rows)
                total += loss * len(rows)
            with torch.no_grad():
                scores = [(model(a).argmax(1) == b).double().mean().item() for a, b in ((x, y), (x_test, y_test))]
            losses.append(total.item() / len(order))
        return Outcome(losses[0], losses[-1], *scores)

    start = time.perf_counter()
    if compiled:
        train(task.orders[:1])  # a whole epoch: its last batch may be smaller, which compiles another program
    return lambda: train(task.orders), time.perf_counter() - start


def eager(workload: Workload) -> Prepared:
    """PyTorch in its eager mode."""
    return training(workload, compiled=False)


def with_compile(workload: Workload) -> Prepared:
    """PyTorch with `torch.compile`; needs a C++ compiler."""
    return training(workload, compiled=True)
