"""The gradient check applied to the planted mistakes: each must be caught and named."""

from experiments.gradient_cases import planted_mistakes
from experiments.gradient_cases.random_networks import RandomNetwork, random_network
from experiments.support import command_line
from jaxmlp import GradientReport, automatic_gradient, compare_gradients, runtime
from jaxmlp.checks import sizes_of
from jaxmlp.gradient_check import Diagnosis, compare_backward

__all__ = ["diagnosed", "mistaken_network", "planted", "show_planted"]


def planted(name: str, network: RandomNetwork) -> tuple[GradientReport, Diagnosis]:
    """The report and the diagnosis of one planted mistake on one network."""
    wrong = planted_mistakes.planted_gradient(name, network.activation)
    right = automatic_gradient(network.activation)
    report = compare_gradients({"planted": wrong, "automatic": right}, network.params, network.x, network.y)
    return report, compare_backward(wrong, network.params, network.x, network.y, network.activation)


def mistaken_network(name: str, seed: int) -> RandomNetwork:
    """A random network, drawn from ``seed``, in which the mistake can be made; ten seeds in a row share its shape."""
    mistake = planted_mistakes.MISTAKES[name]
    network = random_network(
        seed,
        depths=(2, 4),
        widths=(4, 12),
        batches=(5, 9),
        activations=mistake.activations,
        square=mistake.square,
        alike=10,
    )
    assert planted_mistakes.applies(name, sizes_of(network.params), network.activation)
    return network


def diagnosed(name: str, network: RandomNetwork, diagnosis: Diagnosis) -> bool:
    """Whether the first finding names the layer and the quantity, and says what the mistake is."""
    mistake = planted_mistakes.MISTAKES[name]
    place = (planted_mistakes.expected_layer(name, len(network.params)), mistake.quantity)
    first = diagnosis.findings[0] if diagnosis.findings else None
    return first is not None and (first.layer, first.quantity) == place and mistake.says in first.explanation


def show_planted(name: str, seed: int) -> int:
    """Print what the check says of one mistake, or a line per mistake; returns the exit code."""
    runtime.configure("float64")
    if name != "all":
        report, diagnosis = planted(name, mistaken_network(name, seed))
        print(f"{name}: {planted_mistakes.MISTAKES[name].words}\n{report}\n\n{diagnosis}")
        return 0 if report.ok else 1
    rows: list[tuple[str, ...]] = []
    all_caught = True
    for mistake in command_line.progress(planted_mistakes.MISTAKES, "mistake"):
        networks = [mistaken_network(mistake, seed + number) for number in range(20)]
        found = [planted(mistake, network) for network in networks]
        caught = sum(not report.ok for report, _ in found)
        right = sum(diagnosed(mistake, network, words) for network, (_, words) in zip(networks, found, strict=True))
        all_caught = all_caught and caught == 20
        first = found[0][1].findings
        rows.append((mistake, str(caught), str(right), str(first[0] if first else "-")))
    print(command_line.table(("mistake", "caught", "diagnosed", "on the first of 20 networks"), rows))
    return 0 if all_caught else 1
