"""Optuna's own pictures of a study, as matplotlib's figures."""

import importlib
import warnings
from typing import Any

from jaxmlp.sweep.sampling.samplers import load_optuna

__all__ = ["search_figures"]


def search_figures(study: Any, name: str = "mean validation loss") -> dict[str, Any]:
    """Figures by file name: the history, and what mattered where two or more configurations have a value.

    Args:
        study: from `study_of`, or one's own.
        name: of its values.
    """
    optuna = load_optuna()
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not complete:
        return {}
    pyplot, draw = (importlib.import_module(name) for name in ("matplotlib.pyplot", "optuna.visualization.matplotlib"))
    drawn: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        drawn["search_history.png"] = draw.plot_optimization_history(study, target_name=name)
        if len({each.value for each in complete}) > 1:
            drawn["search_importance.png"] = draw.plot_param_importances(
                study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0), target_name=name
            )
    figures = {file: axes.figure for file, axes in drawn.items()}
    for figure in figures.values():
        figure.set_layout_engine("constrained")  # Optuna's own cuts long names
        pyplot.close(figure)  # pyplot would keep it for ever
    return figures
