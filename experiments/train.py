"""Train one network as the lecture does, on the handwritten digits or your own data: a line per epoch, figures.

python -m experiments.train --hidden 20 10
python -m experiments.train --data flowers.csv --target species --hidden 8
"""

from experiments import actions
from experiments.support import command_line, own_data, parsing
from experiments.support.settings import GRADIENTS, RANDOMNESS, RunConfig
from jaxmlp import choices

LECTURE = RunConfig()


def main(
    arguments: list[str] | None = None, preset: RunConfig = LECTURE, name: str = "train", about: str | None = __doc__
) -> int:
    """The command; ``preset`` gives the defaults."""
    parser = parsing.parser(f"experiments.{name}", about)
    network = parser.add_argument_group("the network")
    parsing.add_hidden(network, preset.hidden)
    activation = "phi of the hidden layers (%(default)s)"
    network.add_argument("--activation", choices=choices.ACTIVATIONS, default=preset.activation, help=activation)
    add = parser.add_argument_group("training").add_argument
    add("--epochs", type=int, default=preset.epochs, metavar="N", help="passes over the training rows (%(default)s)")
    rate = "eta of the update W - eta dL/dW, above 0 (%(default)s)"
    add("--learning-rate", type=float, default=preset.learning_rate, metavar="ETA", help=rate)
    add("--batch-size", type=int, default=preset.batch_size, metavar="B", help="samples per update (%(default)s)")
    gradient = "whose gradient trains: JAX's, or the one derived by hand (%(default)s)"
    add("--gradient", choices=GRADIENTS, default=preset.gradient, help=gradient)
    add("--seed", type=int, default=preset.seed, metavar="N", help="of the random numbers, 0..2**32-1 (%(default)s)")
    numbers = "who draws them: the lecture's NumPy stream, or jax.random (%(default)s)"
    add("--randomness", choices=RANDOMNESS, default=preset.randomness, help=numbers)
    add("--dtype", choices=("float64", "float32"), default=preset.dtype, help="precision of all numbers (%(default)s)")
    if preset is LECTURE:  # the others are the lecture's networks, made for digits
        own_data.add_arguments(parser)
    palette = "colours of bottleneck.png (%(default)s)"
    parser.common.add_argument("--palette", choices=choices.PALETTES, default="lecture", help=palette)
    parsing.add_quiet(parser)
    parsing.add_no_cache(parser)
    options = parser.parse_args(arguments)
    return command_line.call(lambda: actions.train.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
