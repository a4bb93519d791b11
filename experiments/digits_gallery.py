"""The data: shapes, one image as numbers, the first ten digits as a figure (lecture, step 1).

python -m experiments.digits_gallery
"""

import sys
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.support import command_line, parsing
from jaxmlp import figures, load_images
from jaxmlp.checks import Floats, Integers
from jaxmlp.showing import fields, shown


@shown(fields)
class Gallery(NamedTuple):
    """All images ``[1797, 8, 8]``, their labels ``[1797]`` and the figure of the first ten."""

    images: Floats
    labels: Integers
    figure: Figure


def run() -> Gallery:
    """Load the digits and draw the first ten."""
    images, labels = load_images()
    return Gallery(images, labels, figures.digits(images[:10], labels[:10]))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    options = parsing.parser("experiments.digits_gallery", __doc__).parse_args(arguments)

    def body() -> int:
        folder = command_line.output_folder(options.out)
        gallery = run()
        print(f"images: {gallery.images.shape}, labels: {gallery.labels.shape}")
        print(f"image 0, a {gallery.labels[0]}, as numbers:\n{np.asarray(gallery.images[0], int)}")
        print(f"first ten targets: {gallery.labels[:10]}")
        print(command_line.write(folder, {"digits.png": gallery.figure}))
        return 0

    return command_line.call(body, options.device)


if __name__ == "__main__":
    sys.exit(main())
