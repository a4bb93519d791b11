from .diagnosis import Diagnosis as Diagnosis
from .diagnosis import Finding as Finding
from .diagnosis import diagnose as diagnose
from .looks import looks as looks
from .looks import where_wrong as where_wrong
from .recognition import Recognised as Recognised
from .recognition import recognise as recognise
