"""Searches: an Optuna sampler is asked for batches of configurations, each of which is trained side by side."""

from jaxmlp.sweep.asking.one_search import Searched, search
from jaxmlp.sweep.asking.pictures import search_figures
from jaxmlp.sweep.asking.samplers import SAMPLERS
from jaxmlp.sweep.asking.studies import study_of

__all__ = ["SAMPLERS", "Searched", "search", "search_figures", "study_of"]
