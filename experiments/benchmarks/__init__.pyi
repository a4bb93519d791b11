from . import classifier_time as classifier_time
from . import gpu_time as gpu_time
from . import start_time as start_time
from . import sweep_time as sweep_time
from . import training_time as training_time
