"""A recognised network and the diagnosis of its backward pass in words, from a check's measurements."""

from jaxmlp.gradient_check.answer import LeafCheck
from jaxmlp.gradient_check.calling import Parameters
from jaxmlp.gradient_check.diagnosis import Recognised, diagnose
from jaxmlp.gradient_check.gradients import Returned

__all__ = ["diagnosed"]


def diagnosed(
    network: Recognised | None,
    parameters: Parameters,
    returned: Returned,
    rows: list[LeafCheck],
    holds: bool,
    asked: bool,
) -> tuple[str, tuple[str, ...]]:
    """The network in words, and the mistakes in sentences, the first one first; none if the measurements disagree."""
    wrong = [row for row in rows if not row.ok and row.verdict not in ("unknown", "extra")]
    if network is None or not holds:
        return ("no network known here" if asked else ""), ()
    leaves = parameters.split(parameters.theta)
    words = network.words(leaves)
    if not wrong:
        return words, ()
    single = any("float" in name and name != "float64" for name in returned.dtypes)
    limit = max(1e-10, 1e3 * network.error)
    # Formulas take 0 as the derivative at a kink; the user may take another value. Unknown leaves are left out too.
    told = [
        None if row.kinks or row.verdict == "unknown" else leaf
        for leaf, row in zip(returned.leaves, rows, strict=False)
    ]
    gradient = network.arrangement.split_gradient(told, parameters.shapes)
    diagnosis = diagnose(network, leaves, gradient, 3e-5 if single else limit, 1.2e-7 if single else 2.2e-16)
    if diagnosis.ok:  # a leaf is missing, or its error is one that the diagnosis takes for rounding
        return words, ()
    return words, diagnosis.sentences()
