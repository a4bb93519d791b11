#!/usr/bin/env bash
# jax 0.10.2 and 0.12.0: jnp.asarray of a NumPy array compiles a program, one for each shape and dtype; jax.device_put
# of the same array compiles none. Whoever makes arrays of data before training waits 10 to 60 ms for each shape, and a
# persistent cache fills with programs that compute nothing. Here: why the library hands arrays to JAX by device_put.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q "jax==0.10.2" "jaxlib==0.10.2" "numpy==2.3.5"
JAX_LOG_COMPILES=1 JAX_PLATFORMS=cpu "$place/venv/bin/python" - 2>"$place/log" <<'END'
import jax, jax.numpy as jnp, numpy as np, sys

array = np.arange(30, dtype=np.int32).reshape(5, 6)
print("versions", jax.__version__, np.__version__)
print("device_put", file=sys.stderr, flush=True)
jax.block_until_ready(jax.device_put(array))
print("asarray", file=sys.stderr, flush=True)
jax.block_until_ready(jnp.asarray(array))
END
put=$(sed -n '/^device_put$/,/^asarray$/p' "$place/log" | grep -c 'Finished XLA compilation' || true)
as=$(sed -n '/^asarray$/,$p' "$place/log" | grep -c 'Finished XLA compilation' || true)
grep -o 'Finished XLA compilation of [^ ]*' "$place/log" || true
echo "programs compiled: $put by device_put, $as by asarray"
[ "$put" -eq 0 ] && [ "$as" -ge 1 ]
# Seen: Finished XLA compilation of jit(stage); programs compiled: 0 by device_put, 1 by asarray
