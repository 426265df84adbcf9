"""Which of a model's files suits this machine; loads no runtime."""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from pathlib import Path

from maskwatch.errors import ModelError
from maskwatch.model import Precision
from maskwatch.settings import DetectorSettings

INT8_FLAGS: frozenset[str] = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Of CPUs that multiply it fast; on others it gains little."""
BF16_FLAGS: frozenset[str] = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Of CPUs that calculate FP16 files in it, which takes little more than half of FP32's time."""


def choose_precision(
    settings: DetectorSettings, there: Collection[Precision], flags: AbstractSet[str] | None = None
) -> Precision:
    """Choose which of a model's files to load.

    Parameters
    ----------
    settings
        What is wished for. ONNX Runtime reads FP32 alone.
    there
        What the model has.
    flags
        Of the CPU, as Linux calls them; None for this machine's.

    Raises
    ------
    ModelError
        If the model lacks what is wished for; the message says what it has.
    """
    wished: Precision = "fp32"
    if settings.runtime == "openvino" and settings.precision == "auto":
        flags = cpu_flags() if flags is None else flags
        if "int8" in there and flags & INT8_FLAGS:
            wished = "int8"
        elif "fp16" in there and flags & BF16_FLAGS:
            wished = "fp16"
    elif settings.runtime == "openvino" and settings.precision != "auto":
        wished = settings.precision
    if wished not in there:
        raise ModelError(f"the model has no {wished} file, only {', '.join(sorted(there))}: set detector.precision")
    return wished


def cpu_flags() -> AbstractSet[str]:
    """Return what this CPU can do, as Linux calls it; nothing where that cannot be read."""
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").split())
    except OSError:
        return frozenset()
