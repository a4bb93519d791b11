"""Compiling for an H100 without having one, and reading the program: launches, memory, registers, spills."""

import os
import re
import shutil
import subprocess
import tempfile
from importlib import metadata, util
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import topologies  # public and documented: devices to compile for
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmlp import InputError, runtime

BANDWIDTH = 3_352_320_000_000  # bytes per second
MULTIPROCESSORS, LANES, CLOCK = 132, 128, 1.98e9
FLOPS = MULTIPROCESSORS * LANES * 2 * CLOCK
REGISTERS = 65536  # per multiprocessor
TARGET = f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: {MULTIPROCESSORS} fpus_per_core: {LANES} block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: {BANDWIDTH} l2_cache_size: 52428800
  clock_rate_ghz: {CLOCK / 1e9} device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
  cuda_compute_capability {{ major: 9 minor: 0 }}
  registers_per_core_limit: {REGISTERS} registers_per_block_limit: {REGISTERS}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 2 }}
runtime_version {{ major: 12 minor: 9 patch: 0 }}
device_description_str: "NVIDIA H100 80GB HBM3"
"""
PLUGINS = ("jax-cuda13-plugin", "jax-cuda13-pjrt")
INSTALL = runtime.install_command("gpu-report", *(f"{name}=={jax.__version__}" for name in PLUGINS))
WIDTHS = {"pred": 1, "s8": 1, "u8": 1, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}


class Kernel(NamedTuple):
    """One kernel as the assembler sees it: registers per thread, and bytes per thread that did not fit into them."""

    name: str
    registers: int
    spilled: int


class Compiled(NamedTuple):
    """What was read from a compiled program.

    Attributes:
        launches: kernels, copies and library calls outside all loops.
        inner: the same per iteration of the innermost loop (its condition included); 0 without a loop.
        blocks: threads and bytes of shared memory per block, by the kernel's name.
        arguments: bytes of device memory, as the next two.
        outputs: without those shared with arguments.
        temporary: needed while the program runs.
        loop_bytes: the most that an iteration of the innermost loop reads and writes; without a loop, that the whole
            program does.
        kernels: None without ptxas.
    """

    launches: int
    inner: int
    blocks: dict[str, tuple[int, int]]
    arguments: int
    outputs: int
    temporary: int
    loop_bytes: int
    kernels: list[Kernel] | None


def h100() -> Mesh:
    """A mesh of one compile-only H100; raises InputError where the plugin is missing or of another version."""
    for name in PLUGINS:
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise InputError(f"{name} is missing, expected beside jax {jax.__version__}: {INSTALL}") from None
        if installed != jax.__version__:
            raise InputError(f"{name} is {installed}, expected jax's own version: {INSTALL}")
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # no CUDA libraries are loaded to compile
    try:
        found = topologies.get_topology_desc("", "cuda", target_config=TARGET, topology="1x1x1")
    except Exception as error:  # whatever is wrong with the plugin
        reason = str(error).splitlines()[0]
        raise InputError(f"the CUDA plugin cannot compile ({reason}), expected: {INSTALL}") from None
    return Mesh(np.array(found.devices), ("devices",), axis_types=(AxisType.Auto,))


def ptxas() -> str | None:
    """The assembler: that of the package nvidia-cuda-nvcc, which knows the newest PTX, or one on the PATH."""
    package = util.find_spec("nvidia")
    places = (package.submodule_search_locations or []) if package else []
    folders = [str(Path(place) / "cu13" / "bin") for place in places]
    return (shutil.which("ptxas", path=os.pathsep.join(folders)) if folders else None) or shutil.which("ptxas")


def compile_for(mesh: Mesh, lower: Any, arguments: Any) -> Compiled:
    """Lower a jitted function for shapes placed on ``mesh``, compile it, and read the result.

    Args:
        mesh: from `h100`.
        lower: called with ``*arguments`` placed on the mesh, returns JAX's Lowered.
        arguments: a tuple of pytrees with shapes and dtypes.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    placed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), arguments)
    with tempfile.TemporaryDirectory() as folder:
        program = lower(*placed).compile(compiler_options={"xla_dump_to": folder})
        schedule = "".join(path.read_text() for path in Path(folder).glob("*thunk_sequence.txt"))
        kernels = assembled(sorted(Path(folder).glob("*.ptx")))
    if not schedule:
        raise InputError("XLA wrote no schedule of launches, expected the one of jax 0.10")
    memory = program.memory_analysis()
    launches, inner, blocks = read_schedule(schedule)
    return Compiled(
        launches,
        inner,
        blocks,
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes - memory.alias_size_in_bytes,
        memory.temp_size_in_bytes,
        loop_bytes(program.as_text()),
        kernels,
    )


def read_schedule(text: str) -> tuple[int, int, dict[str, tuple[int, int]]]:
    """The `Compiled` launches, inner and blocks from XLA's schedule of a program."""
    found = [(len(line) - len(line.lstrip()), *line.strip().split(":", 1)) for line in text.splitlines() if ":" in line]
    steps = [(depth, rest.split()[0], rest) for depth, name, rest in found if name.isdigit()]
    steps = [step for step in steps if step[1] not in ("kWhile", "kSequential", "kConditional")]
    deepest = max((depth for depth, _, _ in steps), default=0)
    # A loop's condition and body are indented alike or by two more: the innermost are the two deepest levels.
    outside = sum(depth == 0 for depth, _, _ in steps)
    inner = sum(depth >= deepest - 2 for depth, _, _ in steps) if deepest > 0 else 0
    block = re.compile(r"(\S+) grid: \[[^]]*\] threads: \[(\d+).*shared_memory: (\d+)")
    blocks = {m[1]: (int(m[2]), int(m[3])) for _, _, rest in steps if (m := block.search(rest))}
    return outside, inner, blocks


def size_of(shape: str) -> int:
    """Bytes of the arrays named in a piece of HLO text, as ``f32[1024,20]``."""
    return sum(
        WIDTHS[kind] * int(np.prod([int(side) for side in sides.split(",") if side], dtype=np.int64))
        for kind, sides in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", shape)
        if kind in WIDTHS
    )


def loop_bytes(text: str) -> int:
    """An upper bound of the bytes per iteration of the innermost loop: operands and results of what it launches.

    A fusion that picks rows out of a larger array counts its result twice, not that array. Without a loop: the bytes of
    the whole program.
    """
    bodies = re.findall(r"while\(.*?body=%?([\w.\-]+)", text)
    parts = {m[1]: m[2] for m in re.finditer(r"^(?:ENTRY )?%?([\w.\-]+) \(.*?\{\n(.*?)^\}", text, re.M | re.S)}
    entry = re.search(r"^ENTRY %?([\w.\-]+)", text, re.M)
    assert entry is not None
    inner = [body for body in bodies if "while(" not in parts.get(body, "")]
    total = 0
    part = parts[inner[-1] if inner else entry[1]]
    shapes = {m[1]: m[2] for m in re.finditer(r"%([\w.\-]+) = (\(.*?\)|\S+) [\w\-]+\(", part)}
    for match in re.finditer(r"%([\w.\-]+) = (\(.*?\)|\S+) (fusion|custom-call|copy|dot)\(([^)]*)\)(.*)", part):
        result, operands = size_of(match[2]), re.findall(r"%([\w.\-]+)", match[4])
        called = re.search(r"calls=%?([\w.\-]+)", match[5])
        picks = called is not None and re.search(r" (dynamic-slice|gather)\(", parts.get(called[1], ""))
        total += 2 * result if picks else result + sum(size_of(shapes.get(operand, "")) for operand in operands)
    return total


def assembled(files: list[Path]) -> list[Kernel] | None:
    """What the assembler says of each kernel, or None where there is no assembler."""
    assembler = ptxas()
    if assembler is None:
        return None
    kernels: list[Kernel] = []
    for path in files:
        if ".entry" not in path.read_text():
            continue
        call = [assembler, "-v", "-arch=sm_90a", str(path), "-o", os.devnull]
        said = subprocess.run(call, capture_output=True, text=True, check=False).stderr
        for part in said.split("Compiling entry function")[1:]:
            name, spilled = re.search(r"'(\S+)'", part), re.search(r"(\d+) bytes spill stores", part)
            registers = re.search(r"Used (\d+) registers", part)
            if name and spilled and registers:
                kernels.append(Kernel(name[1], int(registers[1]), int(spilled[1])))
    return kernels
