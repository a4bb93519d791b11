from . import choosing as choosing
from . import summary as summary
from .answer import Results as Results
from .answer import dataset_of as dataset_of
from .answer import results as results
