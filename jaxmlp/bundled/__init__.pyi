from . import kept_digits as kept_digits
from .kept_digits import read_digits as read_digits
from .loaders import Bundle as Bundle
from .loaders import load_bundle as load_bundle
from .loaders import load_digits_images as load_digits_images
