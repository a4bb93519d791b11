#!/usr/bin/env bash
# jax 0.10.2: a class that inherits from a NamedTuple counts as a NamedTuple: tree maps, device_put and jit rebuild it
# from its fields alone. The result is of the same class, so isinstance agrees, but attributes that the object had are
# gone, and nothing is raised until one is read. copy and pickle keep them. Here: a table of a person's data is such a
# class; the library registers it, so that what is computed from it is a plain NamedTuple, not a table without names.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q "jax==0.10.2" "jaxlib==0.10.2" "numpy==2.3.5"
JAX_PLATFORMS=cpu "$place/venv/bin/python" - <<'END'
import copy, pickle
from typing import NamedTuple
import jax, numpy as np


class Rows(NamedTuple):
    x: np.ndarray


class Named(Rows):
    pass


rows = Named(np.arange(3.0))
rows.columns = ["a", "b", "c"]
made = {
    "tree.map": jax.tree.map(lambda leaf: leaf, rows),
    "device_put": jax.device_put(rows),
    "jit": jax.jit(lambda r: r)(rows),
    "_replace": rows._replace(x=rows.x),
    "copy": copy.copy(rows),
    "pickle": pickle.loads(pickle.dumps(rows)),
}
seen = {name: (type(other).__name__, hasattr(other, "columns")) for name, other in made.items()}
print("versions", jax.__version__, np.__version__)
for name, (kind, has) in seen.items():
    print(f"{name}: {kind}, attributes {'kept' if has else 'lost'}")
lost = ("Named", False)
assert all(seen[name] == lost for name in ("tree.map", "device_put", "jit", "_replace")), seen
assert seen["copy"] == seen["pickle"] == ("Named", True), seen
END
# Seen: tree.map, device_put, jit, _replace: Named, attributes lost; copy, pickle: Named, attributes kept
