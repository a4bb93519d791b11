from . import data_check as data_check
from . import own_file as own_file
from . import planted_check as planted_check
from . import planted_mistakes as planted_mistakes
from . import random_networks as random_networks
