from .grid_search import MLPClassifierSearch as MLPClassifierSearch
from .grid_search import MLPRegressorSearch as MLPRegressorSearch
