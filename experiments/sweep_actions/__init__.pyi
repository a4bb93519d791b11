from . import estimate as estimate
from . import executors as executors
from . import report_and_export as report_and_export
from . import running as running
from . import search as search
