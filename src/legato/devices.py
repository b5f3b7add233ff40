"""Devices by name, the number of threads, the precision; and the environment's word on each.

An explicit option beats LEGATO_DEVICE, LEGATO_THREADS and LEGATO_PRECISION, and these beat what is found here.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from legato.errors import Mistake, tell

_C_LIBRARY = ctypes.CDLL(None) if os.name == "posix" else None  # the process itself, with whatever C library it has
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h: `mallopt` has no names in Python
DEVICE, THREADS, PRECISION = "LEGATO_DEVICE", "LEGATO_THREADS", "LEGATO_PRECISION"
PRECISIONS = ("float32", "tf32", "bfloat16")
NAMES = "auto, cpu, cuda, cuda:N or mps"
# Apple's GPU: operations that torch lacks there are computed on the CPU where this is 1 when torch is imported
FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
NARROW = {"mps"}  # kinds of device on which torch has no float64, and autocast gains nothing
# On CUDA a quarter of the card's memory holds the examples computed at once, each as 64 arrays of its own size in float32: what
# a decoder of images keeps at its full size. Above 65,536 a card is busy for longer than launching takes.
SHARE, ALIVE, MOST = 4, 64, 1 << 16
M = TypeVar("M", bound=nn.Module)
# whose turn it is to draw from torch's generators; re-entrant, for blocks that draw lie within one another
_TURN = threading.RLock()


def memory_of_machine() -> int:
    """Bytes of main memory; a tebibyte where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 1 << 40


def auto_precision(device: torch.device) -> str:
    """The precision of `--precision auto`: LEGATO_PRECISION, else `native_precision`. Raises `Mistake` for another word."""
    asked = os.environ.get(PRECISION) or "auto"
    if asked not in ("auto", *PRECISIONS):
        raise Mistake(f"{PRECISION} must be auto, {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, got `{asked}`")
    return native_precision(device) if asked == "auto" else asked


def suited_precision(asked: str, device: torch.device) -> str:
    """The precision that was asked for, `auto_precision` for auto. Raises `Mistake` for one that the device does not have."""
    found = auto_precision(device) if asked == "auto" else asked
    if found == "tf32" and device.type != "cuda":
        raise Mistake(f"tf32 is a precision of NVIDIA's cards, and the device is {device.type}: use float32")
    if found == "tf32":
        tell("tf32: products keep 10 of float32's 23 bits, in training only; --precision float32 keeps them all")
    return found


def native_precision(device: torch.device) -> str:
    """bfloat16 where the device multiplies it natively and gains by it (the same nats in less time), else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type in NARROW:
        return "float32"
    return "bfloat16" if torch.backends.cpu.get_cpu_capability() == "AVX512" and _gains_by_bfloat16() else "float32"


def _gains_by_bfloat16() -> bool:
    """AMX, or AMD's AVX-512 BF16, in which a step took half the time; Intel's without AMX took twice as long as float32.

    By name and not by timing: a clock would choose otherwise on a busy machine, and one seed would give two runs.
    """
    told = Path("/proc/cpuinfo")
    words = set(told.read_text(encoding="utf-8").split()) if told.is_file() else set()
    return "amx_bf16" in words or {"avx512_bf16", "AuthenticAMD"} <= words


def check_precision(device: torch.device, precision: str) -> None:
    """Raises `Mistake` where networks are not computed in this precision on the device."""
    if device.type in NARROW and precision != "float32":
        raise Mistake(
            f"`{device.type}` trains in float32 alone, and {precision} was asked for: --precision float32, or --device cpu"
        )


def widest(device: torch.device) -> torch.dtype:
    """The widest floating type of the device: float64, or float32 on Apple's GPU."""
    return torch.float if device.type in NARROW else torch.double


def doubled(values: Tensor) -> Tensor:
    """The values in double precision: on their device, or on the CPU where their device has none."""
    # first to the CPU: what is double cannot come into being on such a device
    return (values.cpu() if values.device.type in NARROW else values).double()


def moved(module: M, device: torch.device) -> M:
    """`module.to(device)`, with what is double in it as wide as the device can."""
    # of single precision alone: a type that is given is the type of all that floats
    return module.to(device, widest(device)) if device.type in NARROW else module.to(device)


def together(device: torch.device, values: int, on_cpu: int) -> int:
    """The number of examples, of `values` numbers each, that are computed at once without gradients.

    `on_cpu`: few enough to stay near its caches. On CUDA a power of two, as many as a quarter of the card's memory holds.
    """
    if device.type != "cuda":
        return on_cpu
    # By the whole memory, not by what is free: noise is drawn by the batch, and a card has to repeat what it drew.
    fitting = memory_of_card(device) // (SHARE * ALIVE * torch.float.itemsize * max(values, 1))
    return min(1 << max(fitting.bit_length() - 1, 0), MOST)


def memory_of_card(card: torch.device) -> int:
    """Bytes of a card's memory."""
    return int(torch.cuda.get_device_properties(card).total_memory)


def seed(device: torch.device, value: int) -> None:
    """Seeds the generators that a step draws from: the CPU's and the device's.

    `torch.manual_seed` also formats a stack trace for GPUs that may wake up later: 0.2 ms, a twentieth of a small step.
    """
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


def stream(device: torch.device) -> torch.Generator:
    """A generator of the device's own. Of `meta`, on which nothing is computed, the CPU's."""
    return torch.Generator("cpu" if device.type == "meta" else device)


@cache
def shared_stream(device: torch.device, purpose: str) -> torch.Generator:
    """The process's one generator for a purpose, to be seeded in one's turn (`drawing_step`) before it is drawn from.

    One for all, as torch's own is: a captured step draws from it whoever's step it then becomes.
    """
    return stream(device)


@contextmanager
def mixed(device: torch.device, precision: str) -> Iterator[None]:
    """A block whose products are of that precision: of bfloat16, of TF32 (on a card: 10 bits of mantissa), else float32."""
    if precision == "bfloat16":
        # bfloat16 has float32's range, so that no loss needs to be scaled.
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    _set_tf32("high" if precision == "tf32" else "highest", precision == "tf32")
    try:
        yield
    finally:
        _set_tf32(*before)


def _set_tf32(products: str, convolutions: bool) -> None:
    if torch.get_float32_matmul_precision() != products:
        torch.set_float32_matmul_precision(products)
    if torch.backends.cudnn.allow_tf32 != convolutions:
        torch.backends.cudnn.allow_tf32 = convolutions


def exact(device: torch.device) -> AbstractContextManager[Any]:
    """A block of single precision within a step of bfloat16."""
    of_mixed = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if of_mixed else nullcontext()


@contextmanager
def drawing(device: torch.device, value: int) -> Iterator[None]:
    """Torch's generators at `value` for what is drawn in this block, then as they were; no other thread draws meanwhile.

    Torch has one generator for all threads of a process: a page that decodes beside a training would change its noise.
    """
    # by name: else all GPUs' states are kept
    gpus, kind = ([], "cuda") if device.type == "cpu" else ([device], device.type)
    with _TURN, torch.random.fork_rng(gpus, device_type=kind):
        seed(device, value)
        yield


@contextmanager
def drawing_step(device: torch.device, value: int) -> Iterator[None]:
    """`drawing` for a step among many, which `generators_kept` surrounds: it does not put back what the next one overwrites."""
    with _TURN:
        seed(device, value)
        yield


@contextmanager
def generators_kept() -> Iterator[None]:
    """A block after which torch's generators are as they were before, while other threads may take their turns in it."""
    # Entered and left by hand: the turn is taken to read the state and to put it back, not for all that lies between.
    fork = torch.random.fork_rng()
    with _TURN:
        fork.__enter__()
    try:
        yield
    finally:
        with _TURN:
            fork.__exit__(None, None, None)


def keep_memory() -> None:
    """Lets glibc keep freed memory for the next step instead of giving it back at once; elsewhere nothing.

    Tensors above its threshold are mapped and unmapped anew each time, and each of their pages then costs a fault: in a
    virtual machine these took a third of a training step and more than half of an importance-weighted estimate.
    """
    mallopt = getattr(_C_LIBRARY, "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that glibc takes; larger tensors are mapped all the same
        mallopt(_TRIM_THRESHOLD, 1 << 30)


def release_memory() -> None:
    """Gives freed memory back to the system where the C library is glibc; elsewhere nothing.

    A step frees and takes tensors of many sizes, between which glibc's heap fragments: under bfloat16 a run of an MLP grew by
    2 MB a step, to 7 GB in 3,500 steps, all of it free (malloc_trim brought it back to its start).
    """
    trim = getattr(_C_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(0)


def choose(device: str = "auto", threads: int | None = None) -> torch.device:
    """The torch device; `auto` is LEGATO_DEVICE, else a GPU by CUDA if there is one. Sets torch's thread count where `threads`
    is given, and `keep_memory` for the process.

    Never Apple's GPU unless it is named: it is untested.

    Raises `Mistake` for a device that does not exist here.
    """
    if threads is not None:
        if threads < 1:
            raise Mistake(f"--threads must be 1 or more, got {threads}")
        say_threads(threads)
    keep_memory()
    found = _own(_found(device))
    if found.type == "cuda":
        # what float32 says, and the same at every run: torch's own setting is TF32, and whichever kernel is quickest today
        _set_tf32("highest", False)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return found


def _own(device: torch.device) -> torch.device:
    """Of several cards, the one of this process's number among those that a launcher started here; else the device as it is."""
    local = os.environ.get("LOCAL_RANK")
    if device.type != "cuda" or device.index is not None or local is None:
        return device
    return torch.device("cuda", int(local) % torch.cuda.device_count())


def _found(device: str) -> torch.device:
    """The device by its name, by LEGATO_DEVICE, or by what is here."""
    if device != "auto":
        return _named(device)
    asked = os.environ.get(DEVICE) or "auto"
    return _named(asked, f"{DEVICE}: ") if asked != "auto" else torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _named(device: str, where: str = "") -> torch.device:
    """The device of this name, or a `Mistake` that begins with where the name was found."""
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise Mistake(f"{where}no device is named `{device}`: expected {NAMES}") from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise Mistake(f"{where}`{device}` is no device that Legato computes on: expected {NAMES}")
    mend = f"{DEVICE}=cpu" if where else "--device cpu"
    if chosen.type == "mps":
        _check_mps(chosen, where, mend)
    if chosen.type == "cuda" and (chosen.index or 0) >= (count := torch.cuda.device_count()):
        raise Mistake(f"{where}`{device}` was asked for, and torch sees {count or 'no'} GPU here: use {mend}")
    return chosen


def _check_mps(device: torch.device, where: str, mend: str) -> None:
    """Raises `Mistake` without Apple's GPU; tells what a process does in which nobody has asked for the fall-back."""
    if (device.index or 0) >= (count := int(torch.backends.mps.is_available())):
        raise Mistake(f"{where}`{device}` was asked for, and torch sees {count or 'no'} GPU of Apple's here: use {mend}")
    if os.environ.get(FALLBACK) != "1":
        # too late for this process, which has imported torch
        tell(f"what torch lacks on `{device}` ends the work: set {FALLBACK}=1 before Python starts, and the CPU does it")


def asked_threads() -> int | None:
    """LEGATO_THREADS; None where it is unset. Raises `Mistake` for what is no count."""
    asked = os.environ.get(THREADS)
    if not asked:
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise Mistake(f"{THREADS} must be a whole number, 1 or more, got `{asked}`")
    return int(asked)


def say_threads(count: int) -> None:
    """Sets so many threads from now on in this process, because someone said so: no training looks for a better number."""
    _SAID.append(count)
    torch.set_num_threads(count)


def threads_were_said() -> bool:
    """True where `--threads`, LEGATO_THREADS or a worker's owner said how many."""
    return bool(_SAID)


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """A block that torch computes with so many threads; then it has as many as before."""
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


_SAID: list[int] = []
# Once, before anything is computed: read again in `choose`, it would undo what was said since, such as a worker's one thread.
if (_threads := asked_threads()) is not None:
    say_threads(_threads)
