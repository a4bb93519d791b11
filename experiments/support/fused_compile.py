"""Compiling the fused kernel for GPUs without having one: Warp gives its PTX, the assembler its registers."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from experiments.support.gpu_compile import CLOCK, MULTIPROCESSORS, REGISTERS, ptxas
from jaxmlp import InputError, TrainingConfig
from jaxmlp.engine import fused_refusal, load_kernel, warps


class Card(NamedTuple):
    """The limits of a GPU, from its maker's tables.

    Attributes:
        name: of the card.
        multiprocessors: how many it has.
        clock: its highest, in cycles per second.
        threads: the most on a multiprocessor at a time, as the next two.
        blocks: the most.
        shared: the most bytes of shared memory.
    """

    name: str
    multiprocessors: int
    clock: float
    threads: int
    blocks: int
    shared: int


CARDS = {
    75: Card("T4", 40, 1.59e9, 1024, 16, 65536),
    86: Card("A10", 72, 1.695e9, 1536, 16, 102400),
    90: Card("H100", MULTIPROCESSORS, CLOCK, 2048, 32, 233472),
    100: Card("B200", 148, 1.965e9, 2048, 32, 233472),
}
"""One card per architecture."""
SCHEDULERS = 4
"""Per multiprocessor on all these cards, as `REGISTERS` is; each issues one instruction per cycle, for 32 threads."""
BRANCH = r"\bbra(?:\.uni)?\s+(\$\w+);"
RESERVED = 1024  # bytes of shared memory that CUDA takes per block


class Fused(NamedTuple):
    """What was read from the kernel of one architecture.

    Attributes:
        architecture: 90 is sm_90.
        card: its name.
        threads: per block; a block trains one network.
        instructions: the least of the PTX that the update of one sample takes, without register moves.
        barriers: of the block, in that update.
        local: loads and stores of the thread's local memory in the whole PTX.
        registers: per thread; None where there is no assembler, as the next four.
        spilled: bytes per thread that did not fit into registers.
        shared: bytes per block.
        at_a_time: networks that a multiprocessor trains at a time.
        bound_seconds: per network and update, if the card issued these instructions without a pause; the assembler may
            fuse some of them.
    """

    architecture: int
    card: str
    threads: int
    instructions: int
    barriers: int
    local: int
    registers: int | None
    spilled: int | None
    shared: int | None
    at_a_time: int | None
    bound_seconds: float | None


def ptx(sizes: tuple[int, ...], architectures: tuple[int, ...], folder: Path) -> dict[int, Path]:
    """The PTX by architecture of the kernel for sigmoid, plain descent, one sample per update and float32.

    It is written into ``folder``; no GPU and no driver is needed.

    Args:
        sizes: of networks that `fused_refusal` lets pass.
        architectures: of `CARDS`.
        folder: to write to.

    Raises:
        InputError: networks that don't fit; Warp missing, or without NVIDIA's compiler (as on macOS).
    """
    if refusal := fused_refusal(sizes, TrainingConfig(), "float32"):
        raise InputError(refusal)
    kernel = load_kernel()
    sigmoids = ("sigmoid",) * (len(sizes) - 2)
    module = kernel.epochs_kernel(sizes, sigmoids, "sgd", False, False, "float32", warps(sizes)).module
    try:
        files = kernel.wp.compile_aot_module(module, arch=architectures, module_dir=folder, use_ptx=True)
    except Exception as error:  # whatever is wrong with Warp's compiler
        reason = str(error).splitlines()[0]
        raise InputError(f"Warp cannot compile for GPUs ({reason}), expected its package for Linux") from None
    for file in files:
        file.write_bytes(file.read_bytes().rstrip(b"\0"))  # the assembler does not take the NUL that Warp adds
    return dict(zip(architectures, files, strict=True))


def update_loop(text: str) -> list[str]:
    """The lines of the kernel's PTX that update on one sample: its smallest loop with a barrier in it."""
    lines = [line.strip() for line in text.splitlines()]
    labels = {line[:-1]: number for number, line in enumerate(lines) if re.fullmatch(r"\$\w+:", line)}
    loops: list[list[str]] = []
    for number, line in enumerate(lines):
        back = re.search(BRANCH, line)
        if back and labels[back[1]] < number:
            loops.append(lines[labels[back[1]] : number + 1])
    return min((loop for loop in loops if any("bar.sync" in line for line in loop)), key=len)


def fewest(loop: list[str]) -> int:
    """The least number of instructions from a loop's beginning to its end, register moves left out.

    At a forward branch the shorter way counts, whatever the data would choose.
    """
    reached = {loop[0][:-1]: 0}
    here: int | None = 0
    for line in loop:
        if line.endswith(":"):  # by a jump, or from the line above
            ways = [way for way in (here, reached.get(line[:-1])) if way is not None]
            here = min(ways, default=None)
        elif here is not None and line.endswith(";") and not line.startswith("."):
            here += re.match(r"(@!?%p\d+ )?mov\.", re.sub(r"\s+", " ", line)) is None
            if jump := re.search(BRANCH, line):
                reached[jump[1]] = min(here, reached.get(jump[1], here))
                here = here if line.startswith("@") else None
    return reached[loop[0][:-1]] if here is None else here


def read(architecture: int, path: Path, threads: int) -> Fused:
    """Read the PTX and, where there is an assembler, what it says of the PTX."""
    text, card = path.read_text(), CARDS[architecture]
    loop = update_loop(text)
    instructions, barriers = fewest(loop), sum("bar.sync" in line for line in loop)
    local = len(re.findall(r"\b(?:ld|st)\.local", text))
    found = Fused(architecture, card.name, threads, instructions, barriers, local, None, None, None, None, None)
    assembler = ptxas()
    if assembler is None:
        return found
    call = [assembler, "-v", f"-arch=sm_{architecture}", str(path), "-o", str(path.with_suffix(".cubin"))]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    part = done.stderr.split("Compiling entry function")[-1]
    registers, spilled = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes spill stores", part)
    if not registers or not spilled:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[0]
        raise InputError(f"{assembler} does not take the PTX ({reason}), expected the one of CUDA 13.4 or newer")
    shared = sum(int(number) for number in re.findall(r"(\d+) bytes smem", part))
    each = -(-int(registers[1]) // 8) * 8
    at_a_time = min(
        REGISTERS // (each * threads), card.threads // threads, card.blocks, card.shared // (shared + RESERVED)
    )
    # A warp issues at most one instruction per cycle, all warps of a multiprocessor together one per scheduler.
    issuing = min(SCHEDULERS, at_a_time * threads // 32) * card.multiprocessors * card.clock
    bound = instructions * threads // 32 / issuing
    return found._replace(
        registers=int(registers[1]), spilled=int(spilled[1]), shared=shared, at_a_time=at_a_time, bound_seconds=bound
    )


def compiled(sizes: tuple[int, ...], architectures: tuple[int, ...] = (75, 90, 100)) -> list[Fused]:
    """The kernel read for each architecture; arguments and errors as `ptx`."""
    with tempfile.TemporaryDirectory() as folder:
        files = ptx(sizes, architectures, Path(folder))
        return [read(architecture, path, warps(sizes)) for architecture, path in files.items()]
