from .one_search import Searched as Searched
from .one_search import search as search
from .pictures import search_figures as search_figures
from .samplers import SAMPLERS as SAMPLERS
from .studies import study_of as study_of
