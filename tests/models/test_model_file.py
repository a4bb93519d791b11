"""Model files: the same bits back, and a clear error for everything that is not one."""

import contextlib
import hashlib
import json
import os
import pickle
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors.numpy

from jaxmlp import InputError, Layer, MLPClassifier, Model, files, load, save
from jaxmlp.models import model_format
from tests.classifier.test_classifier import NAMES, X, small
from tests.helpers import assert_agree, fresh_python, random_params, rejects

pytestmark = pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")


def model(dtype: str = "float64", sizes: tuple[int, ...] = (4, 3, 2), **more: Any) -> Model:
    params = tuple(Layer(*map(np.asarray, layer)) for layer in random_params(0, sizes, dtype))  # pyright: ignore
    return Model(params, **more)


def refused(path: Path, data: bytes) -> str:
    """What loading a file of these bytes says; it must be one line of an InputError."""
    path.write_bytes(data)
    with pytest.raises(InputError, match="is no model that can be loaded: ") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(4, 2), (4, 3, 2), (1, 1, 1, 1)])
def test_a_model_comes_back_to_the_same_bits(dtype: str, sizes: tuple[int, ...], tmp_path: Path) -> None:
    activation = ("tanh", "relu")[: len(sizes) - 2]
    saved = model(dtype, sizes, activation=activation, details={"seed": 3, "é": [1.5e-300, None, "☃"]})
    save(tmp_path / "m.safetensors", saved)
    found = load(tmp_path / "m.safetensors")
    assert isinstance(found, Model)
    assert_agree(found.params, saved.params)
    assert (found.activation, found.details, found.classes) == (activation, saved.details, None)
    assert model_format.encode(found) == (tmp_path / "m.safetensors").read_bytes()
    tensors = safetensors.numpy.load_file(tmp_path / "m.safetensors")  # others read it too
    assert tensors["weights_1"].tobytes() == np.asarray(saved.params[0].weights).tobytes()


def test_bits_are_the_same_with_64_bit_mode_off(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(path, model("float64"))
    program = f"""if True:
        import hashlib, jax, jaxmlp
        found = jaxmlp.load({str(path)!r})
        leaves = [leaf for layer in found.params for leaf in layer]
        print(jax.config.jax_enable_x64, hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest())
        jaxmlp.save({str(path)!r}, found, overwrite=True)
    """
    leaves = [np.asarray(leaf).tobytes() for layer in model("float64").params for leaf in layer]
    before = path.read_bytes()
    assert fresh_python(program) == f"False {hashlib.sha256(b''.join(leaves)).hexdigest()}"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "labels",
    [NAMES, NAMES.astype(object), NAMES == "ape", (NAMES == "ape") * 2.0, (NAMES == "bee").astype(np.uint8)],
    ids=lambda y: y.dtype,
)
def test_a_classifier_comes_back_and_goes_on(labels: Any, tmp_path: Path) -> None:
    weights = dict.fromkeys(np.unique(labels).tolist(), 2)
    saved = small(class_weight=weights, early_stopping=True, n_iter_no_change=9).fit(X, labels)
    save(tmp_path / "c.safetensors", saved)
    found = load(tmp_path / "c.safetensors")
    assert isinstance(found, MLPClassifier)
    assert found.get_params() == saved.get_params()
    assert_agree(found.params_, saved.params_)
    assert found.classes_.dtype == saved.classes_.dtype
    np.testing.assert_array_equal(found.predict(X), saved.predict(X))
    assert (found.loss_curve_, found.validation_scores_) == (saved.loss_curve_, saved.validation_scores_)
    found = found.set_params(early_stopping=False)
    assert found.partial_fit(X, labels).n_iter_ == saved.n_iter_ + 1


def test_names_of_columns_come_back(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    saved = small(device="cpu").fit(pandas.DataFrame(X, columns=list("abcd")), NAMES)
    save(tmp_path / "c.safetensors", saved)
    found: Any = load(tmp_path / "c.safetensors")
    assert isinstance(found, MLPClassifier)
    found = cast(Any, found)
    assert found.feature_names_in_.tolist() == list("abcd")
    assert found.device == "auto"  # the machine that loads has its own


def test_what_cannot_be_kept_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    def make(weights: Any = None, biases: Any = None, **more: Any) -> Model:
        weights, biases = (np.zeros(n) if part is None else part for n, part in (((2, 3), weights), (2, biases)))
        return Model((Layer(weights, biases),), **more)

    cases: list[tuple[Any, str]] = [
        (Model(()), "no layer"),
        (make(np.zeros((3, 3))), "shapes (3, 3) and (2,)"),
        (make(np.zeros((2, 3), "float32")), "parameters are float32, float64"),
        (make(np.zeros((2, 3), int), np.zeros(2, int)), "parameters are int64"),
        (make(np.full((2, 3), np.nan)), "weights of layer 1 are not all finite"),
        (make(biases=np.array([0, np.inf])), "biases of layer 1 are not all finite"),
        (model(activation="softplus"), "activation is 'softplus'"),
        (make(details={"x": np.zeros(2)}), "details are not JSON"),
        (make(details={"x": float("nan")}), "details are not JSON"),
        (make(details={"x": "y" * 2**24}), "details are larger"),
        (make(classes=np.array(["a"])), "classes are 1 values, expected 2"),
        (make(classes=np.array(["a", "a"])), "classes are not different"),
        (make(classes=np.array([1j, 2])), "classes are complex128"),
        (make(classes=np.array([1, "a"], object)), "classes are object"),
        (small(), "not fitted"),
        (small(random_state=np.random.RandomState(0)).fit(X, NAMES), "random_state is RandomState"),
    ]
    for number, (given, message) in enumerate(cases):
        with rejects(message):
            save(tmp_path / str(number), given)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_unasked_and_a_write_that_fails_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    save(path, model())
    before = path.read_bytes()
    with rejects("exists, expected a new name"):
        save(path, model("float32"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with rejects("No space left on device"):
        save(path, model("float32"), overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    save(path, model("float32"), overwrite=True)
    assert path.read_bytes() != before
    with rejects("cannot write"):
        save(tmp_path / "nowhere" / "m", model())


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("missing", "it cannot be read (No such file"), (".", "it cannot be read"), ("zero\0byte", "it cannot be read"),
        ("pipe", "it is not a regular file"), ("/dev/zero", "it is not a regular file"),
    ):  # fmt: skip
        with rejects(f"is no model that can be loaded: {message}"):
            load(tmp_path / name)


def signed(content: dict[str, Any], tensors: dict[str, Any]) -> bytes:
    """A file with the right checksum, whatever it holds."""
    text = {**content, "sha256": model_format._digest(content, tensors)}  # pyright: ignore[reportPrivateUsage]
    dumped = json.dumps(text, sort_keys=True, separators=(",", ":"))
    return safetensors.numpy.save(tensors, {"jaxmlp": dumped})


def parts(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """TEXT and tensors of a file."""
    length = struct.unpack("<Q", data[:8])[0]
    content = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["jaxmlp"])
    tensors = safetensors.numpy.load(data)
    names = [f"{name}_{number}" for number in range(1, len(tensors) // 2 + 1) for name in ("weights", "biases")]
    return content, {name: tensors[name] for name in names}


@pytest.fixture(scope="module")
def classifier_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "c"
    save(path, small(hidden_layer_sizes=(3,), class_weight={"ape": 2}).fit(X, NAMES))
    return path.read_bytes()


CAN_BE: dict[str, Any] = {
    "alpha": [10**30], "learning_rate": [10**30], "tol": [10**30], "verbose": [-1, 10**30], "transform_layer": [-1],
}  # fmt: skip
"""Values that `forged` sets and that a parameter can have."""


def forged(classifier_bytes: bytes) -> dict[str, bytes]:
    """Files that were not damaged but made to deceive, each with a right checksum."""
    content, tensors = parts(classifier_bytes)
    assert signed(content, tensors) == classifier_bytes  # so that what is refused is refused for its content
    kept = content["classifier"]
    made: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for name, value in {
        "format": 2, "activation": "softplus", "classes": ["str", ["a", "a", "b"]], "details": [], "classifier": [],
        "output": "identity", "preparation": [],
    }.items():  # fmt: skip
        made[name] = ({**content, name: value}, tensors)
    for value in (
        None, [], ["str", "abc"], ["object", [1, 2, 3]], ["int8", [1, 2, 300]], ["U9", ["a", "b", "c"]], "x", 7,
        ["int64", [1, 2, 10**30]], ["bool", [True, False, True]], ["float64", [1, 2, 3]],
    ):  # fmt: skip
        made[f"classes {value}"] = ({**content, "classes": value}, tensors)
    for value in (7, None, [["relu"]], {"relu": 1}, ["relu", "relu"], []):
        made[f"activation {value}"] = ({**content, "activation": value}, tensors)
    for name in kept:
        for value in (None, -1, "x", [[]], {"a": 1}, [True], 1e300):
            possible = (("validation_scores", None), ("feature_names", None), ("name", None), ("name", "x"))
            if (name, value) not in possible:
                made[f"classifier {name} {value}"] = ({**content, "classifier": {**kept, name: value}}, tensors)
    for name in kept["parameters"]:
        for value in ([], {}, {"pairs": [1]}, {"pairs": [[[], 1]]}, "x", -1, 10**30, [[3]]):
            if value in CAN_BE.get(name, []):
                continue
            parameters = {**kept["parameters"], name: value}
            made[f"parameter {name} {value}"] = ({**content, "classifier": {**kept, "parameters": parameters}}, tensors)
    weights = tensors["weights_1"]
    for name, value in {
        "turned": weights.T.copy(), "half": weights.astype("float16"), "single": weights.astype("float32"),
        "integers": weights.astype(int), "nan": np.full_like(weights, np.nan), "cube": weights[None],
        "empty": weights[:0], "scalar": np.array(1.0),
    }.items():  # fmt: skip
        made[f"weights {name}"] = (content, {**tensors, "weights_1": value})
    made["missing"] = (content, {name: tensors[name] for name in list(tensors)[1:]})
    made["further"] = (content, {**tensors, "more": weights})
    return {name: signed(*pair) for name, pair in made.items()}


def test_forged_files_are_refused(classifier_bytes: bytes, tmp_path: Path) -> None:
    files_made = forged(classifier_bytes)
    assert len(files_made) > 200
    believed: list[str] = []
    for name, data in files_made.items():
        (tmp_path / "f").write_bytes(data)
        with contextlib.suppress(InputError):
            load(tmp_path / "f")
            believed.append(name)
    assert believed == []


def header(text: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + payload


def foreign() -> dict[str, bytes]:
    """Files of other kinds, and some that would take much memory or time if they were believed."""
    big = 2**62
    return {
        "empty": b"",
        "text": b"hello, this is a text\n" * 9,
        "pickle": pickle.dumps({"weights": os.getcwd}),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(99),
        "zip": b"PK\x03\x04" + bytes(99),
        "other safetensors": safetensors.numpy.save({"w": np.zeros(3)}, {"format": "pt"}),
        "no metadata": safetensors.numpy.save({"weights_1": np.zeros((2, 2)), "biases_1": np.zeros(2)}),
        "huge header": struct.pack("<Q", big) + b"{}",
        "header as long as allowed": struct.pack("<Q", 2**24) + b"{}",
        "deep": header(b"[" * 10**6),
        "deep text": header(json.dumps({"__metadata__": {"jaxmlp": "[" * 10**6}}).encode()),
        "long number": header(b'{"__metadata__":{"jaxmlp":"{\\"format\\":' + b"9" * 10**5 + b'}"}}'),
        "huge shape": header(b'{"weights_1":{"dtype":"F64","shape":[%d,9],"data_offsets":[0,8]}}' % big, bytes(8)),
        "not utf-8": header(b'{"__metadata__":{"jaxmlp":"\xff"}}'),
        "metadata a list": header(b'{"__metadata__":["jaxmlp"]}'),
        "text a number": header(b'{"__metadata__":{"jaxmlp":1}}'),
        "not an object": header(b"[1]"),
    }


@pytest.mark.parametrize("name", foreign())
def test_foreign_files_are_refused(name: str, tmp_path: Path) -> None:
    refused(tmp_path / "f", foreign()[name])


def test_a_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    valid = model_format.encode(model())
    with open(tmp_path / "big", "wb") as file:
        file.write(valid)
        file.truncate(2**43)  # of holes
    with rejects("bytes of parameters, expected at most 800,000,000"):
        load(tmp_path / "big")


def damage(rng: np.random.Generator) -> Callable[[bytes], bytes]:
    """A random way to damage a file."""

    def flip(data: bytes) -> bytes:
        at, changed = int(rng.integers(8 * len(data))), bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        return bytes(changed)

    def truncate(data: bytes) -> bytes:
        return data[: rng.integers(len(data))]

    def extend(data: bytes) -> bytes:
        return data + rng.bytes(int(rng.integers(1, 99)))

    def overwrite(data: bytes) -> bytes:
        first, length = int(rng.integers(len(data) - 8)), int(rng.integers(1, 40))
        changed = data[:first] + rng.bytes(length) + data[first + length :]
        return changed if changed != data else data[:-1]

    def exchange(data: bytes) -> bytes:
        first, second = sorted(map(int, rng.integers(len(data), size=2)))
        changed = data[second:] + data[first:second] + data[:first]
        return changed if changed != data else data[:-1]

    def length(data: bytes) -> bytes:
        return struct.pack("<Q", int(rng.integers(2**63)) >> int(rng.integers(63))) + data[9:]

    ways = (flip, flip, flip, truncate, extend, overwrite, exchange, length)
    return ways[rng.integers(len(ways))]


def test_2000_damaged_files_are_refused_without_taking_memory(classifier_bytes: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    valid = (classifier_bytes, model_format.encode(model()), model_format.encode(model("float32", (9, 30, 10))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(2000):
        refused(tmp_path / "f", damage(rng)(valid[number % 3]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


@pytest.mark.slow
def test_every_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    valid = model_format.encode(model("float32", (2, 2)))
    for bit in range(8 * len(valid)):
        data = bytearray(valid)
        data[bit // 8] ^= 1 << bit % 8
        refused(tmp_path / "f", bytes(data))


@hypothesis.given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    for content in (data, header(data)):
        with pytest.raises(InputError):
            model_format.decode(content)
