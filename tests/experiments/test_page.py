"""``experiments.page``: what a page holds, the file around it, the command. The page itself: test_page_browser.py."""

import base64
import dataclasses
import hashlib
import json
import re
import webbrowser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments import actions, bottleneck, one_hidden_layer, page
from experiments.page_parts.assembly import FOLDER, SCRIPTS, assemble
from experiments.page_parts.content import Content, of_training, to_json
from experiments.support import training_run
from jaxmlp import History, Layer, LectureStream, MLPClassifier, Model, load, load_digits, load_table, save
from jaxmlp.lecture import load_images
from jaxmlp.tables import Preparation, read_columns
from tests.helpers import assert_agree, random_params

PREPARATION = load_table("digits").preparation


@pytest.fixture(scope="module")
def trained() -> training_run.Result:
    """12 epochs of the lecture's first network."""
    return training_run.run(dataclasses.replace(one_hidden_layer.PRESET, epochs=12), snapshots=True)


def held(content: Content) -> dict[str, Any]:
    return json.loads(to_json(content))


def floats(text: str) -> list[float]:
    return np.frombuffer(base64.b64decode(text), "<f8").tolist()


def test_snapshots_are_the_parameters_after_each_epoch_and_change_no_bit_of_the_training(
    trained: training_run.Result,
) -> None:
    plain = training_run.run(trained.settings)
    assert plain.snapshots == ()
    assert_agree(trained.params, plain.params)
    assert_agree(trained.history, plain.history)
    assert len(trained.snapshots) == 13
    assert_agree(trained.snapshots[12], plain.params)
    assert_agree(trained.snapshots[0], LectureStream(0).params((64, 20, 10), "float64"))
    one = training_run.run(dataclasses.replace(trained.settings, epochs=1))
    assert_agree(trained.snapshots[1], one.params)


def test_a_run_that_is_interrupted_keeps_the_snapshots_of_its_epochs() -> None:
    def interrupt(done: int, _: History) -> None:
        if done == 1:
            raise KeyboardInterrupt

    found = training_run.run(one_hidden_layer.PRESET, interrupt, snapshots=True)
    assert (found.ended, len(found.history.loss), len(found.snapshots)) == ("interrupted", 2, 3)


def test_a_page_of_a_training_holds_early_epochs_and_the_last_with_what_was_recorded(
    trained: training_run.Result,
) -> None:
    content = of_training(trained)
    assert content.epochs == [*range(11), 12]
    for epoch, params, recorded in zip(content.epochs, content.snapshots, content.recorded, strict=True):
        assert epoch is not None
        assert_agree(params, trained.snapshots[epoch])
        row = (None, None) if epoch == 0 else tuple(column[epoch - 1] for column in trained.history[1:])
        assert (recorded["train_accuracy"], recorded["test_accuracy"]) == row
    assert {name: [float(v) for v in rows] for name, rows in trained.history._asdict().items()} == content.curves
    assert dict(content.details)["hidden"] == "[20]"
    assert content.learning_rate == 0.2


def test_the_file_holds_every_parameter_to_the_last_bit_and_the_digits(trained: training_run.Result) -> None:
    data = held(of_training(trained))
    assert (data["sizes"], data["activation"], data["n_test"]) == ([64, 20, 10], ["sigmoid"], 300)
    for text, params in zip(data["snapshots"], of_training(trained).snapshots, strict=True):
        expected = [float(value) for layer in params for leaf in layer for value in np.ravel(leaf)]
        assert floats(text) == expected
    images, labels = load_images()
    assert [int(sign, 17) for sign in data["images"]] == images.ravel().tolist()
    assert data["labels"] == "".join(map(str, labels))
    x = (images.reshape(-1, 64) - floats(data["mean"])) / floats(data["scale"])
    np.testing.assert_array_equal(x[:300], load_digits("float64").x_test)


class Elements(HTMLParser):
    """The scripts, styles and policy of a page, and whatever it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts = {"script": list[str](), "style": list[str](), "data": list[str]()}
        self.policy, self.refers, self._in = "", list[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        assert not any(name.startswith("on") or name == "style" for name in given)
        self.refers += [given[name] for name in ("src", "href", "action") if name in given]
        self._in = "data" if given.get("type") == "application/json" else tag

    def handle_data(self, data: str) -> None:
        if self._in in self.parts:
            self.parts[self._in].append(data)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._in = ""


def hashed(texts: list[str]) -> set[str]:
    return {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts}


def test_the_policy_names_the_pages_own_scripts_and_style_and_nothing_else(trained: training_run.Result) -> None:
    elements = Elements(assemble(to_json(of_training(trained))))
    rules = {rule.split()[0]: set(rule.split()[1:]) for rule in elements.policy.split("; ")}
    assert rules == {
        "default-src": {"'none'"}, "script-src": hashed(elements.parts["script"]),
        "style-src": hashed(elements.parts["style"]), "img-src": {"data:"}, "base-uri": {"'none'"},
        "form-action": {"'none'"}, "require-trusted-types-for": {"'script'"}, "trusted-types": {"'none'"},
    }  # fmt: skip
    assert elements.refers == ["data:,"]
    assert elements.parts["script"] == [(FOLDER / name).read_text("utf-8") for name in SCRIPTS]
    assert {path.name for path in FOLDER.glob("*.js")} == set(SCRIPTS)


def test_no_sign_of_the_content_can_end_its_block_of_data() -> None:
    text = "</script><!--<script>&\u2028\u2029"
    elements = Elements(assemble(json.dumps({text: text})))
    (data,) = elements.parts["data"]
    assert not set("<>&\u2028\u2029") & set(data)
    assert json.loads(data) == {text: text}


def test_each_file_of_the_page_fits_in_a_head_and_asks_nobody() -> None:
    for path in [*FOLDER.glob("*.js"), *FOLDER.glob("*.css"), *FOLDER.glob("*.html"), *FOLDER.glob("*.py")]:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 250, path
        assert max(map(len, text.splitlines())) <= 160, path
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|fetch\(|XMLHttp|import\(|innerHTML|eval\(", text), (
            path
        )


def run_it(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    code = page.main(arguments)
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


@pytest.mark.parametrize("third", [False, True])
def test_the_command_trains_the_lectures_network_and_writes_a_page_below_a_megabyte(
    third: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], reference: dict[tuple[int, ...], dict[str, Any]]
) -> None:
    code, said, _ = run_it(["--out", str(tmp_path), *["--bottleneck"] * third], capsys)
    text = (tmp_path / "page.html").read_bytes()
    assert (code, len(text) < 1_000_000) == (0, True)
    data = json.loads(Elements(text.decode()).parts["data"][0])
    hidden = (20, 20, 2) if third else (20,)
    assert data["sizes"] == [64, *hidden, 10]
    assert data["epochs"][-1] == 100
    lines = reference[hidden]["loss"][: 7 if third else 100]
    np.testing.assert_allclose(data["curves"]["loss"][: len(lines)], lines, atol=5e-4)
    accuracy = f"{100 * data['curves']['test_accuracy'][-1]:.3f} %"
    name = "-".join(map(str, data["sizes"]))
    assert said == [f"{name}, test accuracy {accuracy}, the weights of 23 epochs, {len(text) / 1000:,.0f} kB",
                    f"wrote {tmp_path / 'page.html'}"]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html"]


def test_a_page_is_opened_in_the_browser_where_that_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "m", Model(random_params(0, (64, 3, 10)), preparation=PREPARATION))
    opened, there = list[str](), True

    def open_it(uri: str) -> bool:
        opened.append(uri)
        return there

    monkeypatch.setattr(webbrowser, "open", open_it)
    monkeypatch.chdir(tmp_path)
    assert run_it(["m", "--out", "a b"], capsys)[0] == 0
    assert opened == []
    assert run_it(["m", "--out", "a b", "--open"], capsys)[0] == 0
    assert opened == [(tmp_path / "a b" / "page.html").as_uri()]
    there = False
    code, _, error = run_it(["m", "--out", "a b", "--open"], capsys)
    assert (code, error.count("\n"), "no browser was found" in error) == (2, 1, True)


def test_ctrl_c_leaves_a_page_of_the_epochs_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trained: training_run.Result
) -> None:
    for done in (4, 0):
        rows = History(*(column[:done] for column in trained.history))
        part = trained._replace(history=rows, ended="interrupted", snapshots=trained.snapshots[: done + 1])
        monkeypatch.setattr(actions.page, "train", lambda *_: part)  # noqa: B023 - used at once
        code, _, error = run_it(["--out", str(tmp_path / str(done))], capsys)
        assert code == 130
        assert (tmp_path / str(done) / "page.html").exists() == (done > 0)
        assert error == ("" if done else "interrupted\n")
    text = (tmp_path / "4" / "page.html").read_text("utf-8")
    assert json.loads(Elements(text).parts["data"][0])["epochs"] == [0, 1, 2, 3, 4]


# Model files.


def test_a_file_of_an_experiment_shows_its_network_and_what_it_says(
    tmp_path: Path, trained: training_run.Result
) -> None:
    save(tmp_path / "model.safetensors", actions.train.model(trained)["model.safetensors"])
    content = actions.page.run(str(tmp_path / "model.safetensors"))
    assert (content.epochs, content.learning_rate, content.note) == ([12], 0.2, "")
    assert_agree(content.snapshots[0], jax.tree.map(np.asarray, trained.params))
    assert content.recorded == [{"train_accuracy": None, "test_accuracy": float(trained.history.test_accuracy[-1])}]
    assert content.curves == {"loss": None, "train_accuracy": None, "test_accuracy": None}
    assert content.details[0] == ("file", "model.safetensors")
    assert floats(held(content)["scale"]) == np.asarray(PREPARATION.scale).tolist()


@pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")
def test_a_classifiers_file_shows_its_curve(tmp_path: Path) -> None:
    table = load_table("digits")
    classifier = MLPClassifier(
        (5,), activation="relu", learning_rate=0.01, max_iter=3, n_iter_no_change=9, random_state=0
    )
    classifier.fit(np.asarray(table.x_train)[:200], np.asarray(table.labels_train)[:200])
    save(tmp_path / "c", classifier, preparation=table.preparation)
    content = actions.page.run(str(tmp_path / "c"))
    assert content.curves["loss"] == classifier.loss_curve_
    assert (content.epochs, content.learning_rate) == ([3], 0.01)
    assert held(content)["activation"] == ["relu"]


@pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("way", ["as they are, 0 to 16", "divided by 16", "standardised as the lecture does"])
def test_a_file_without_preparation_is_shown_with_the_one_that_fits_its_network_and_a_note(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, columns = load_table("digits"), read_columns("digits")
    raw, rates = columns.x[table.rows[0]], {"as they are, 0 to 16": 1e-3, "divided by 16": 0.05}
    x = {"as they are, 0 to 16": raw, "divided by 16": raw / 16}.get(way, np.asarray(table.x_train))
    classifier = MLPClassifier(
        (), learning_rate=rates.get(way, 0.01), max_iter=20, n_iter_no_change=99, random_state=0
    ).fit(x, np.asarray(table.labels_train))
    save(tmp_path / "c", classifier)
    code, said, _ = run_it([str(tmp_path / "c"), "--out", str(tmp_path)], capsys)
    note = f"the file does not say what its inputs were: the training digits fit it best {way}"
    assert (code, said[0]) == (0, f"note: {note}")
    data = json.loads(Elements((tmp_path / "page.html").read_text("utf-8")).parts["data"][0])
    assert ["note", note] in data["details"]
    shown = (raw - floats(data["mean"])) / floats(data["scale"])
    np.testing.assert_allclose(shown, x, atol=1e-6)


def test_a_network_whose_inputs_were_the_pixels_in_another_sequence_is_shown_pixel_by_pixel(tmp_path: Path) -> None:
    names = read_columns("digits").names
    assert names is not None
    order = np.random.default_rng(0).permutation(64)
    shuffled = Preparation(PREPARATION.mean[order], PREPARATION.scale[order], tuple(names[k] for k in order))
    layers = random_params(4, (64, 3, 10))
    first = Layer(np.asarray(layers[0].weights)[:, order], layers[0].biases)  # pyright: ignore[reportArgumentType]
    save(tmp_path / "m", Model((first, layers[1]), preparation=shuffled))
    content = actions.page.run(str(tmp_path / "m"))
    assert_agree(content.snapshots[0], jax.tree.map(np.asarray, layers))
    assert floats(held(content)["mean"]) == PREPARATION.mean.tolist()
    raw = load_images()[0][:5].reshape(5, -1)
    found: Any = load(tmp_path / "m")
    np.testing.assert_allclose(content.model.probabilities(raw), found.probabilities(raw[:, order]), rtol=1e-12)


def test_what_a_file_says_of_itself_is_believed_only_where_it_can_be(tmp_path: Path) -> None:
    details = {"learning_rate": -1, "epochs": True, "test_accuracy": 1.5, "train_accuracy": "1", "a text": "x" * 1000,
               **{f"more {k}": k for k in range(200)}}  # fmt: skip
    save(tmp_path / "m", Model(random_params(0, (64, 3, 10)), details=details, preparation=PREPARATION))
    content = actions.page.run(str(tmp_path / "m"))
    assert (content.learning_rate, content.epochs) == (0.2, [None])
    assert content.recorded == [{"train_accuracy": None, "test_accuracy": None}]
    assert ("a text", "x" * 300 + " ...") in content.details
    assert len(content.details) == 102
    assert content.details[-1] == ("...", "105 more")


def test_float32_parameters_are_shown_with_the_values_that_they_have(tmp_path: Path) -> None:
    params = random_params(0, (64, 3, 10), "float32")
    save(tmp_path / "m", Model(params, "tanh", preparation=PREPARATION))
    expected = [float(value) for layer in params for leaf in layer for value in np.ravel(leaf)]
    assert floats(held(actions.page.run(str(tmp_path / "m")))["snapshots"][0]) == expected


def test_what_cannot_be_shown_is_one_line_and_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = load_table("iris")
    sizes = {"iris": (4, 3, 3), "narrow": (64, 3, 9), "letters": (64, 3, 10), "digits": (64, 3, 10)}
    letters, of_iris = np.array([*"abcdefghij"]), {"data": {"data": "iris"}}
    models = {
        "iris": Model(random_params(0, sizes["iris"]), classes=table.classes, details=of_iris),
        "narrow": Model(random_params(0, sizes["narrow"])),
        "letters": Model(random_params(0, sizes["letters"]), classes=letters),
        "digits": Model(random_params(0, sizes["digits"]), preparation=PREPARATION),
    }
    for name, model in models.items():
        save(tmp_path / name, model)
    content = (tmp_path / "digits").read_bytes()
    (tmp_path / "damaged").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (tmp_path / "cut").write_bytes(content[:100])
    monkeypatch.chdir(tmp_path)
    told = {
        "iris": "'iris' contains a network that learned from 'iris', expected the digits",
        "narrow": "'narrow' contains a network (64, 3, 9), expected 64 inputs and 10 classes",
        "letters": "'letters' contains a network for the classes ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'], "
        "expected the digits 0..9",
        "damaged": "'damaged' is no model that can be loaded: its contents are damaged",
        "cut": "'cut' is no model that can be loaded: its header is not that of safetensors",
        "nothing": "'nothing' is no model that can be loaded: ",
        ".": "'.' is no model that can be loaded: ",
        "": "'' is no model that can be loaded: ",
    }
    for name, expected in told.items():
        code, said, error = run_it([name, "--out", "out"], capsys)
        assert (code, said, error.count("\n")) == (2, [], 1)
        assert error.startswith(f"error: {expected}")
        assert not (tmp_path / "out").exists()
    code, _, error = run_it(["digits", "--out", "iris"], capsys)
    assert (code, error) == (2, "error: --out is 'iris', expected a folder that can be written to (File exists)\n")
    (tmp_path / "out" / "page.html").mkdir(parents=True)
    code, _, error = run_it(["digits", "--out", "out"], capsys)
    assert (code, error.count("\n")) == (2, 1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.html"]
    with pytest.raises(SystemExit) as stop:
        page.main(["digits", "--bottleneck"])
    assert stop.value.code == 2
    assert "MODEL is 'digits' and --bottleneck is given" in capsys.readouterr().err


def test_the_lectures_networks_of_the_page_are_those_of_the_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()

    def train_it(preset: training_run.RunConfig, cache: bool) -> training_run.Result:
        asked.append((preset, cache))
        raise KeyboardInterrupt

    monkeypatch.setattr(actions.page, "train", train_it)
    monkeypatch.setattr(actions.page.command_line, "output_folder", Path)
    assert [page.main(arguments) for arguments in ([], ["--bottleneck", "--no-cache"])] == [130, 130]
    assert asked == [(one_hidden_layer.PRESET, True), (bottleneck.PRESET, False)]
