"""The model file: parameters as safetensors, everything else as JSON in its metadata. Nothing in it can run.

    weights_1 [n_1, n_0], biases_1 [n_1], weights_2, ...    F32 or F64, all the same
    __metadata__: {"jaxmlp": TEXT}                           canonical JSON: sorted keys, no blanks, ASCII

TEXT has ``format`` (the version), ``sha256`` (of the rest of TEXT and of every tensor), ``activation``, ``classes``,
``details``, ``classifier``, from version 2 ``preparation``, of the network's inputs (in version 3 it may be null), and
from version 3 ``output``. A reader refuses everything unexpected, so that a damaged file is an error and not another
network. Parameters are finite, in files and when written: a network that has diverged is no model.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save as to_bytes

from jaxmlp.checks import InputError, check_one_of, check_sizes, sizes_of
from jaxmlp.lecture.losses import OUTPUTS, output_of
from jaxmlp.lecture.network import Layer, Params, hidden_activations
from jaxmlp.models.model import Model
from jaxmlp.tables import preparation_of

__all__ = ["MAX_HEADER", "VERSION", "Model", "check_header", "decode", "encode"]

VERSION = 3
"""Of estimators and outputs other than softmax. Older readers know others: 2 with a preparation, 1 without."""
MAX_HEADER = 2**24
"""Bytes of the header: 16 MiB hold a million epochs' losses; the parser takes some ten times as much memory."""
DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
FIELDS = ("format", "sha256", "activation", "classes", "details", "classifier")
Json: TypeAlias = Any


def _dump(content: Json) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(content: Mapping[str, Json], tensors: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(_dump({name: value for name, value in content.items() if name != "sha256"}).encode())
    for name, array in tensors.items():
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _check_params(params: Params, activation: Any) -> None:
    check_sizes(sizes_of(params))
    kinds = {np.asarray(leaf).dtype for layer in params for leaf in layer}
    if len(kinds) > 1 or not kinds <= set(DTYPES.values()):
        raise InputError(f"parameters are {', '.join(sorted(map(str, kinds)))}, expected float32 or float64 throughout")
    hidden_activations(activation, len(params) - 1)
    for number, layer in enumerate(params, 1):
        for name, leaf in layer._asdict().items():
            if not np.all(np.isfinite(np.asarray(leaf))):
                raise InputError(
                    f"{name} of layer {number} are not all finite, expected a network that has not diverged"
                )


def encode(model: Model) -> bytes:
    """Encode a model as the bytes of a file. The same model always gives the same bytes.

    Raises:
        InputError: parameters whose shapes or dtypes disagree or are not finite; a label or detail JSON can't hold.
    """
    _check_params(model.params, model.activation)
    tensors = {
        f"{name}_{number}": np.asarray(leaf).astype(np.asarray(leaf).dtype.newbyteorder("<"), order="C")
        for number, layer in enumerate(model.params, 1)
        for name, leaf in layer._asdict().items()
    }
    activation = model.activation if isinstance(model.activation, str) else list(model.activation)
    content: dict[str, Json] = {"format": 1, "activation": activation, "details": dict(model.details)}
    if model.preparation is not None:
        found = model.preparation.to_json()
        preparation_of(found, sizes_of(model.params)[0])
        content |= {"format": 2, "preparation": found}
    if model.classifier is not None or model.output != "softmax":
        output_of(model.output)
        content = {"preparation": None, **content, "format": VERSION, "output": model.output}
    content["classes"] = (
        None if model.classes is None else _classes_to_json(model.classes, len(model.params[-1].biases))
    )
    content["classifier"] = None if model.classifier is None else dict(model.classifier)
    try:
        content = json.loads(_dump(content))  # as a reader will find it: tuples are lists, keys strings
    except (TypeError, ValueError) as error:
        raise InputError(f"details are not JSON: {error}") from None
    content["sha256"] = _digest(content, tensors)
    written = to_bytes(tensors, {"jaxmlp": _dump(content)})
    if int.from_bytes(written[:8], "little") > MAX_HEADER:
        raise InputError(f"details are larger than {MAX_HEADER:,} bytes, expected fewer")
    return written


def _classes_to_json(classes: NDArray[Any], n: int) -> Json:
    classes = np.asarray(classes)
    kind = {"b": "bool", "U": "str", "O": "object"}.get(classes.dtype.kind, classes.dtype.name)
    values = classes.tolist()
    if kind not in KINDS or (kind == "object" and not all(isinstance(value, str) for value in values)):
        raise InputError(f"classes are {classes.dtype}, expected numbers, booleans or strings")
    found = [kind, values]
    _classes(found, n)
    return found


KINDS = {
    "bool": bool, "str": str, "object": str, "float32": float, "float64": float,
    **{f"{sign}int{bits}": int for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip


def _classes(found: Json, n: int) -> NDArray[Any]:
    """The labels of ``n`` outputs from their JSON, ``[kind, values]``."""
    kind, values = cast(Any, found) if isinstance(found, list) and len(cast(Any, found)) == 2 else (None, None)
    if not isinstance(kind, str) or kind not in KINDS or not isinstance(values, list):
        raise InputError("classes are not of a known kind")
    listed = cast(list[Any], values)
    if len(listed) != n or not all(type(value) is KINDS[kind] for value in listed):
        raise InputError(f"classes are {len(listed)} values, expected {n} of kind {kind}")
    try:
        made = np.array(listed, None if kind == "str" else kind)
    except OverflowError:
        raise InputError(f"classes have a number that is no {kind}") from None
    if len(np.unique(made)) < n or made.tolist() != listed or (kind[:5] == "float" and not np.all(np.isfinite(made))):
        raise InputError("classes are not different finite values")
    return made


def check_header(header: bytes, payload: int) -> dict[str, Json]:
    """TEXT of a header whose tensors are to take ``payload`` bytes, parsed; raises InputError before anything large.

    Args:
        header: without the 8 bytes of its length.
        payload: what follows it in the file.
    """
    try:
        tensors: Any = json.loads(header)
        text = tensors.pop("__metadata__")["jaxmlp"]
        content: Any = json.loads(text)
        canonical = _dump(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError("it has no metadata of jaxmlp") from None
    if not isinstance(content, dict) or canonical != text:
        raise InputError("its metadata are damaged")
    fields = cast(dict[str, Json], content)
    version = fields.get("format")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise InputError(f"its format is {str(version)[:20]!r}, expected at most {VERSION}")
    if set(fields) != {*FIELDS, *["preparation"] * (version > 1), *["output"] * (version > 2)}:
        raise InputError("its metadata have other entries than expected")
    if payload > 8 * 10**8:
        raise InputError(f"it has {payload:,} bytes of parameters, expected at most 800,000,000")
    return fields


def decode(data: bytes) -> Model:
    """Decode the model from the bytes of a file.

    Raises:
        InputError: anything but what `encode` writes.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8):
        raise InputError("its header is not that of safetensors")
    content = check_header(data[8 : 8 + length], len(data) - 8 - length)
    try:
        found = dict(safetensors.deserialize(data))
    except (safetensors.SafetensorError, ValueError, OverflowError) as error:
        raise InputError(f"its tensors are damaged ({' '.join(str(error).split())[:100]})") from None
    tensors: dict[str, NDArray[Any]] = {}
    for number in range(1, len(found) // 2 + 1):
        for name in (f"weights_{number}", f"biases_{number}"):
            tensors[name] = _tensor(found, name)
    if len(tensors) != len(found) or not found:
        raise InputError("its tensors are not weights_1, biases_1, weights_2, ...")
    if content["sha256"] != _digest(content, tensors):
        raise InputError("its contents are damaged: they do not have the checksum that they had when written")
    leaves: list[Any] = list(tensors.values())
    params = tuple(Layer(*pair) for pair in zip(leaves[::2], leaves[1::2], strict=True))
    activation: Any = content["activation"]
    names: Any = [activation] if isinstance(activation, str) else activation
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast(list[Any], names)):
        raise InputError("its activation is not a name or a list of names")
    activation = activation if isinstance(activation, str) else tuple(cast(list[str], names))
    _check_params(params, activation)
    classes, details, classifier = content["classes"], content["details"], content["classifier"]
    if not isinstance(details, dict) or not (classifier is None or isinstance(classifier, dict)):
        raise InputError("its details are not those of a model")
    labels = None if classes is None else _classes(classes, len(params[-1].biases))
    preparation, output = content.get("preparation"), content.get("output", "softmax")
    if preparation is not None or content["format"] == 2:
        preparation = preparation_of(preparation, sizes_of(params)[0])
    check_one_of("its output", output, OUTPUTS)
    return Model(params, activation, labels, cast(Any, details), cast(Any, classifier), preparation, output)


def _tensor(found: Mapping[str, Any], name: str) -> NDArray[Any]:
    tensor = found.get(name)
    if tensor is None or tensor["dtype"] not in DTYPES or len(tensor["shape"]) != (2 if name[0] == "w" else 1):
        raise InputError(f"its tensor {name} is missing or of another kind")
    return np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
