from . import assembly as assembly
from . import content as content
