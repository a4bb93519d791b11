from . import command_line as command_line
from . import digits_model as digits_model
from . import fused_compile as fused_compile
from . import gpu_compile as gpu_compile
from . import own_data as own_data
from . import parsing as parsing
from . import settings as settings
from . import training_run as training_run
