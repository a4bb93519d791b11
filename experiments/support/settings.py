"""The settings of a training run, and the names that two of them can have."""

import dataclasses

__all__ = ["GRADIENTS", "RANDOMNESS", "RunConfig"]

GRADIENTS = ("automatic", "hand-derived")
RANDOMNESS = ("lecture", "jax")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The settings of a training run; the defaults are the lecture's first network."""

    hidden: tuple[int, ...] = (20,)
    seed: int = 0
    learning_rate: float = 0.2
    epochs: int = 100
    batch_size: int = 1
    activation: str = "sigmoid"
    gradient: str = "automatic"
    dtype: str = "float64"
    randomness: str = "lecture"
    n_in: int = 64
    n_classes: int = 10

    @property
    def sizes(self) -> tuple[int, ...]:
        """``(n_0, .., n_L)``."""
        return (self.n_in, *self.hidden, self.n_classes)

    @property
    def name(self) -> str:
        """The network's sizes, as 64-20-10."""
        return "-".join(map(str, self.sizes))
