from .estimator_model import estimator_of as estimator_of
from .estimator_model import model_of as model_of
from .estimator_model import pipeline_of as pipeline_of
from .model import Model as Model
from .model import trained_model as trained_model
from .model_file import load as load
from .model_file import save as save
from .model_format import encode as encode
