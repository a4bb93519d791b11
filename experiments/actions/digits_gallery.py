"""The digits: shapes, one image as numbers, the first ten as a figure."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.support import command_line
from jaxmlp import figures
from jaxmlp.checks import Floats, Integers
from jaxmlp.lecture import load_images
from jaxmlp.showing import fields, shown


@shown(fields)
class Gallery(NamedTuple):
    """All images ``[1797, 8, 8]``, their labels ``[1797]`` and the figure of the first ten."""

    images: Floats
    labels: Integers
    figure: Any


def run() -> Gallery:
    """Load the digits and draw the first ten."""
    images, labels = load_images()
    return Gallery(images, labels, figures.digits(images[:10], labels[:10]))


def show(folder: Path) -> None:
    """Print what they are and write the figure."""
    gallery = run()
    print(f"images: {gallery.images.shape}, labels: {gallery.labels.shape}")
    print(f"image 0, a {gallery.labels[0]}, as numbers:\n{np.asarray(gallery.images[0], int)}")
    print(f"first ten targets: {gallery.labels[:10]}")
    print(command_line.write(folder, {"digits.png": gallery.figure}))


def command(options: argparse.Namespace) -> int:
    """Show the digits; returns the exit code."""
    show(command_line.output_folder(options.out))
    return 0
