"""The whole lecture: the digits, then its three networks, and a table at the end."""

import argparse
from pathlib import Path

from experiments import bottleneck, one_hidden_layer, two_hidden_layers
from experiments.actions import digits_gallery, train
from experiments.support import command_line, training_run

# The lecture's training and test accuracy of each network after 100 epochs.
LECTURE = {
    "one_hidden_layer": (one_hidden_layer.PRESET, "100 %", "92 %"),
    "two_hidden_layers": (two_hidden_layers.PRESET, "100 %", "93 %"),
    "bottleneck": (bottleneck.PRESET, "drops", "drops"),
}


def row(result: training_run.Result, lecture: tuple[str, str], folder: Path) -> tuple[str, ...]:
    """A line of the table."""
    ours = (f"{100 * rows[-1]:.1f} %" if len(rows) else "-" for rows in result.history[1:])
    train_accuracy, test_accuracy = ours
    seconds = result.seconds_compiling + result.seconds_training
    return (result.settings.name, train_accuracy, lecture[0], test_accuracy, lecture[1], f"{seconds:.2f}", str(folder))


def command(options: argparse.Namespace) -> int:
    """Show the digits, train the three networks, print the table; returns the exit code."""
    base = command_line.output_folder(options.out)
    preset = bottleneck.PRESET  # the largest network: compilation that suits it suits the other two
    command_line.prepare(preset.dtype, preset.sizes, preset.batch_size, not options.no_cache)
    digits_gallery.show(command_line.output_folder(str(base / "digits_gallery")))
    rows: list[tuple[str, ...]] = []
    code = 0
    for name, (preset, *lecture) in LECTURE.items():
        print(f"\n{name}: {preset.name}")
        folder = command_line.output_folder(str(base / name))
        result = train.perform(preset, folder, quiet=options.quiet)
        rows.append(row(result, (lecture[0], lecture[1]), folder))
        code = train.exit_code(result)
        if code:
            break
    header = ("network", "training", "lecture", "test", "lecture", "seconds", "files")
    print("\n" + command_line.table(header, rows))
    return code
