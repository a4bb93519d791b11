"""The model file's format, byte by byte and beside an independent writer, and what a classifier brings back from it."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import os
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxmlp import Layer, MLPClassifier, Model, files, load, save
from jaxmlp.models import estimator_model, model_file, model_format
from jaxmlp.models.estimator_model import estimator_of, model_of
from jaxmlp.tables import Preparation
from tests.helpers import assert_agree, rejects

WEIGHTS, BIASES = np.array([[0.5, -1.0, 2.0], [0.0, 0.25, 4.0]]), np.array([1.0, -0.5])


def model(**more: Any) -> Model:
    return Model((Layer(WEIGHTS, BIASES),), **more)  # pyright: ignore[reportArgumentType]


def test_the_first_version_of_the_format_stays_readable() -> None:
    text = {
        "activation": "sigmoid", "classes": ["str", ["a", "b"]], "classifier": None, "details": {"seed": [3, None]},
        "format": 1,
    }  # fmt: skip
    dumped = json.dumps(text, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(dumped.encode())
    for name, array, shape in (("weights_1", WEIGHTS, "(2, 3)"), ("biases_1", BIASES, "(2,)")):
        digest.update(f"{name} <f8 {shape};".encode())
        digest.update(struct.pack(f"<{array.size}d", *array.ravel()))
    signed = json.dumps({**text, "sha256": digest.hexdigest()}, sort_keys=True, separators=(",", ":"))
    header = json.dumps({
        "__metadata__": {"jaxmlp": signed},
        "weights_1": {"dtype": "F64", "shape": [2, 3], "data_offsets": [0, 48]},
        "biases_1": {"dtype": "F64", "shape": [2], "data_offsets": [48, 64]},
    })  # fmt: skip
    data = struct.pack("<Q", len(header)) + header.encode() + struct.pack("<8d", *WEIGHTS.ravel(), *BIASES)
    found = model_format.decode(data)
    assert_agree(found.params, model().params)
    assert (found.activation, found.details, found.classifier) == ("sigmoid", {"seed": [3, None]}, None)
    assert found.classes is not None
    assert found.classes.tolist() == ["a", "b"]
    written = model_format.encode(model(classes=np.array(["a", "b"]), details={"seed": (3, None)}))
    assert signed in json.loads(written[8 : 8 + struct.unpack("<Q", written[:8])[0]])["__metadata__"].values()


@pytest.mark.parametrize("kind", ["bool", "str", "object", "float32", "float64", *[
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
]])  # fmt: skip
def test_classes_of_every_kind_come_back(kind: str) -> None:
    classes = np.array(["x", "yes"] if kind in ("str", "object") else [0, 1], "U3" if kind == "str" else kind)
    found = model_format.decode(model_format.encode(model(classes=classes))).classes
    assert found is not None
    assert (found.dtype, found.tolist()) == (classes.dtype, classes.tolist())


def test_the_bytes_are_the_models_and_nothing_elses() -> None:
    plain = model_format.encode(model())
    turned = Model((Layer(np.asfortranarray(WEIGHTS), BIASES),))  # pyright: ignore[reportArgumentType]
    assert model_format.encode(turned) == model_format.encode(model()) == plain
    for other in ({"activation": ()}, {"classes": np.array([0, 1])}, {"details": {"a": 1}}, {"classifier": {}}):
        assert model_format.encode(model(**other)) != plain


def test_headers_and_parameters_of_the_largest_size_are_read_and_larger_ones_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = model_format.encode(model())
    path = tmp_path / "m"
    path.write_bytes(data)
    (length,) = struct.unpack("<Q", data[:8])
    for module in (model_file, model_format):
        monkeypatch.setattr(module, "MAX_HEADER", length)
    assert_agree(load(path).params, model().params)  # pyright: ignore
    assert model_format.encode(model()) == data
    monkeypatch.setattr(model_file, "MAX_HEADER", length - 1)
    with rejects("its header is not that of safetensors"):
        load(path)
    monkeypatch.setattr(model_format, "MAX_HEADER", length - 1)
    with rejects("its header is not that of safetensors"):
        model_format.decode(data)
    with rejects("details are larger than"):
        model_format.encode(model())
    with rejects("its header is not that of safetensors"):
        model_format.decode(struct.pack("<Q", 3) + b"{}")  # longer than what is left of the file
    header = data[8 : 8 + length]
    assert model_format.check_header(header, 8 * 10**8)["format"] == 1
    with rejects("it has 800,000,001 bytes of parameters"):
        model_format.check_header(header, 8 * 10**8 + 1)


SETTINGS: dict[str, Any] = {
    "hidden_layer_sizes": (5, 2), "activation": ("tanh", "relu"), "optimizer": "nesterov", "learning_rate": 0.25,
    "momentum": 0.5, "batch_size": 7, "max_iter": 3, "alpha": 0.125, "tol": 0.75, "n_iter_no_change": math.inf,
    "early_stopping": True, "validation_fraction": 0.25, "warm_start": True, "init": "lecture", "random_state": 3,
    "class_weight": {"ape": 2.0}, "verbose": 1, "device": "auto", "dtype": "float64", "transform_layer": 0,
    "transform_stage": "pre-activation",
}  # fmt: skip


def fitted(**settings: Any) -> Any:
    """A classifier with all that a fit leaves, which no fit has left."""
    made: Any = MLPClassifier(**settings)
    rng = np.random.RandomState(0)
    sizes = (4, 5, 2, 3)
    made.params_ = tuple(Layer(rng.normal(size=(n_out, n_in)), rng.normal(size=n_out))  # pyright: ignore
                         for n_in, n_out in itertools.pairwise(sizes))  # fmt: skip
    made.restore(made.params_, 3, "softmax", True, np.array(["ape", "bee", "cat"]))
    made.n_features_in_ = 4
    made.loss_curve_, made.validation_scores_ = [3.0, 2.0, 1.0], [0.25, 0.5, 0.75]
    return made


def test_every_parameter_and_every_curve_comes_back_and_the_device_is_the_machines() -> None:
    saved = fitted(**SETTINGS)
    saved.feature_names_in_ = np.array(list("abcd"), object)
    found: Any = estimator_of(model_format.decode(model_format.encode(model_of(saved))))
    assert found.get_params() == SETTINGS
    assert {name: type(value) for name, value in found.get_params().items()} == {
        name: type(value) for name, value in SETTINGS.items()
    }
    assert (found.n_iter_, found.loss_curve_, found.validation_scores_) == (3, [3.0, 2.0, 1.0], [0.25, 0.5, 0.75])
    assert (found.n_features_in_, found.classes_.tolist()) == (4, ["ape", "bee", "cat"])
    assert found.feature_names_in_.tolist() == list("abcd")
    assert_agree(found.params_, saved.params_)
    for more, back in (
        ({"device": "cpu"}, {"device": "auto"}),
        ({"activation": ["tanh", "relu"]}, {}),
        ({"activation": "tanh"}, {"activation": "tanh"}),
        ({"hidden_layer_sizes": np.array([5, 2])}, {}),
        ({"class_weight": None, "random_state": np.int64(4)}, {"class_weight": None, "random_state": 4}),
    ):
        again: Any = estimator_of(model_format.decode(model_format.encode(model_of(fitted(**{**SETTINGS, **more})))))
        assert again.get_params() == {**SETTINGS, **back}
        assert not hasattr(again, "feature_names_in_")


def test_a_classifier_of_an_earlier_format_has_the_lectures_initial_weights() -> None:
    saved = model_of(fitted(**SETTINGS))
    assert saved.classifier is not None
    kept = {name: saved.classifier[name] for name in estimator_model.FIELDS}
    parameters = {name: value for name, value in kept["parameters"].items() if name != "init"}
    found = estimator_of(dataclasses.replace(saved, classifier={**kept, "parameters": parameters}))
    assert found.get_params() == SETTINGS
    assert_agree(found.params_, saved.params)


def test_only_what_needs_the_third_version_is_written_in_it() -> None:
    preparation = Preparation(np.zeros(3), np.ones(3))
    for more, version in (
        ({}, 1), ({"preparation": preparation}, 2), ({"output": "identity"}, 3),
        ({"output": "sigmoid", "preparation": preparation}, 3), ({"classifier": {"a": 1}}, 3),
    ):  # fmt: skip
        data = model_format.encode(model(**more))
        (length,) = struct.unpack("<Q", data[:8])
        assert model_format.check_header(data[8 : 8 + length], 64)["format"] == version
        found = model_format.decode(data)
        assert (found.output, found.preparation is None) == (more.get("output", "softmax"), "preparation" not in more)
        assert model_format.encode(found) == data
    with rejects("output is 'logits', expected one of softmax"):
        model_format.encode(model(output="logits"))


def test_files_are_readable_as_others_are_and_no_part_of_one_stays(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(tmp_path / "m", model())
    finally:
        assert os.umask(before) == 0o027
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o640
    with contextlib.suppress(KeyboardInterrupt), files.whole_file(tmp_path / "m") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert_agree(load(tmp_path / "m").params, model().params)  # pyright: ignore
    with files.whole_file(tmp_path / "n") as file:
        file.write(b"whole")
        assert not (tmp_path / "n").exists()
        assert len(list(tmp_path.iterdir())) == 2  # written in the same folder: elsewhere may be another disk
    assert (tmp_path / "n").read_bytes() == b"whole"


def test_changed_contents_are_damage_and_another_networks_parameters_are_told() -> None:
    data = bytearray(model_format.encode(model()))
    data[-1] ^= 1
    with rejects("they do not have the checksum that they had"):
        model_format.decode(bytes(data))
    (length,) = struct.unpack("<Q", data[:8])
    blank = bytes(data[8 : 8 + length]).replace(b'\\"format\\":1', b'\\"format\\": 1')
    with rejects("its metadata are damaged"):
        model_format.check_header(blank, 64)
    for kind, values in (("float32", [0.1, 0.5]), ("int64", [True, 2]), ("int8", [1, 300]), ("str", ["a", "a"])):
        with rejects("classes "):
            model_format._classes([kind, values], 2)  # pyright: ignore[reportPrivateUsage]
    kept = model_of(fitted(**SETTINGS))
    for other in (
        dataclasses.replace(kept, activation="tanh"),
        dataclasses.replace(kept, activation=("relu", "tanh")),
        model_of(fitted(**{**SETTINGS, "hidden_layer_sizes": (2, 5)})),
    ):
        with rejects("its classifier's parameters are those of another network"):
            estimator_of(other)
