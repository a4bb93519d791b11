"""The widths to which hidden layers are padded: few, so that few programs are compiled."""

__all__ = ["ladder_width"]

LADDER = (8, 20, 32, 64)
FINE = 1024


def ladder_width(width: int) -> int:
    """The width to which a hidden layer is padded: the next of 8, 20, 32, 64, 96, 128, 192, 256, .., 1024.

    Few steps, so that few programs are compiled; widths that people like are steps, so that little is wasted. Above,
    where compiling is little beside training, eight steps to the double: 30,000 becomes 30,720.
    """
    if width <= LADDER[-1]:
        return next(step for step in LADDER if width <= step)
    below = 1 << ((width - 1).bit_length() - 1)
    step = below // (2 if width <= FINE else 8)
    return -(-width // step) * step
