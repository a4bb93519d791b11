"""What the page is made of: its content, the HTML file around it; and the page itself, in JavaScript, HTML and CSS."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
