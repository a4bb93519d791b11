"""Which engine trains a sweep, and what a user should know about that choice."""

from jaxmlp import InputError
from jaxmlp.engine import device_mesh, load_kernel
from jaxmlp.sweep import Block, Data, refusal


def choose_engine(engine: str, executor_name: str = "local") -> str:
    """The engine that "auto" means: the fused one on a GPU, else the scan.

    On a GPU the fused engine was measured faster with 64 to 16,384 networks. With an executor it is the scan, since
    nobody knows the devices of its workers. It is also the scan where NVIDIA Warp is missing; a printed note says so.
    """
    if engine != "auto":
        return engine
    if executor_name != "local" or device_mesh().devices.flat[0].platform == "cpu":
        return "scan"
    try:
        load_kernel()
    except InputError as reason:
        print(f"note: the scan trains, slower on a GPU: {reason}")
        return "scan"
    return "fused"


def notices(blocks: list[Block], data: Data, engine: str) -> list[str]:
    """Notes on the fused engine: which networks it cannot train, and whether it is slower here than the scan."""
    if engine == "scan":
        return []
    said: dict[str, None] = {}
    if device_mesh().devices.flat[0].platform == "cpu":
        said["on a CPU the scan is faster than the fused engine, which is made for GPUs"] = None
    for config in (block.config for block in blocks if block.config.engine == "scan"):
        said[f"the scan trains some networks instead: {refusal(config, data)}"] = None
    return list(said)
