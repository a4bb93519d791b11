from .grid_search import MLPClassifierSweep as MLPClassifierSweep
from .grid_search import MLPRegressorSweep as MLPRegressorSweep
