"""The page: one HTML file with a network of the digits."""

import argparse
import webbrowser
from pathlib import Path

from experiments import bottleneck, one_hidden_layer
from experiments.page_parts.assembly import assemble
from experiments.page_parts.content import Content, of_file, of_training, to_json
from experiments.support import command_line, training_run
from experiments.support.settings import RunConfig
from jaxmlp import History, InputError
from jaxmlp.checks import sizes_of


def run(path: str) -> Content:
    """What a page of a model file shows; prints nothing, raises InputError where the network is not one of digits."""
    return of_file(path)


def train(preset: RunConfig, cache: bool = True) -> training_run.Result:
    """Train a network of the lecture with a progress bar and keep its parameters of every epoch."""
    command_line.prepare(preset.dtype, preset.sizes, preset.batch_size, cache)
    with command_line.bar(preset.epochs, "epoch") as progress:

        def report(_: int, rows: History) -> None:
            progress.update(len(rows.loss))

        return training_run.run(preset, report, snapshots=True)


def show(content: Content, folder: Path, browser: bool) -> None:
    """Write the page, say what is in it and where it is, and open it."""
    if content.note:
        print(f"note: {content.note}")
    text = assemble(to_json(content))
    accuracy = content.recorded[-1]["test_accuracy"]
    said = ["-".join(map(str, sizes_of(content.model.params)))]
    said += [] if accuracy is None else [f"test accuracy {100 * accuracy:.3f} %"]
    said += [f"the weights of {len(content.snapshots)} epochs" if len(content.snapshots) > 1 else "of one epoch"]
    print(f"{', '.join(said)}, {len(text.encode()) / 1000:,.0f} kB")
    print(command_line.write(folder, {"page.html": text}))
    if browser and not webbrowser.open((folder / "page.html").resolve().as_uri()):
        raise InputError(f"no browser was found to open {str(folder / 'page.html')!r}, expected one, or no --open")


def command(options: argparse.Namespace) -> int:
    """Train or load the network, write the page; returns the exit code."""
    if options.model is not None:
        show(run(options.model), command_line.output_folder(options.out), options.open)
        return 0
    folder = command_line.output_folder(options.out)
    result = train((bottleneck if options.bottleneck else one_hidden_layer).PRESET, not options.no_cache)
    if not len(result.history.loss):
        raise KeyboardInterrupt
    show(of_training(result), folder, options.open)
    return 0 if result.ended == "finished" else command_line.INTERRUPTED
