import json
import os

import jax
import pytest

from jaxmlp.runtime import configure, environment
from tests.helpers import fresh_python, rejects


def test_float64_turns_on_64_bits_in_a_fresh_process_and_float32_changes_nothing() -> None:
    program = """if True:
        import jax, jaxmlp
        from jaxmlp.runtime import configure
        configure("float32")
        before = jax.config.jax_enable_x64
        configure("float64")
        print(before, jax.config.jax_enable_x64, jaxmlp.load_digits("float64").x_train.dtype)
    """
    assert fresh_python(program) == "False True float64"


@pytest.mark.parametrize("dtype", ["float16", "int32", "banana"])
def test_an_unsupported_dtype_is_rejected_by_name(dtype: str) -> None:
    with rejects(f"dtype is {dtype}, expected float32 or float64"):
        configure(dtype)


def test_the_environment_says_what_a_measurement_needs_and_goes_into_json() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["jax"] == jax.__version__
    assert found["devices"] == jax.device_count()
    assert found["platform"] == jax.devices()[0].platform
    assert found["cores"] == os.cpu_count()
    assert found["xla_flags"] == os.environ["XLA_FLAGS"]
    assert all(found.values())
