"""Which of a model's files suits this machine; loads no runtime."""

from collections.abc import Collection
from pathlib import Path

from maskwatch.errors import ModelError
from maskwatch.model import Precision
from maskwatch.settings import DetectorSettings


def choose_precision(settings: DetectorSettings, there: Collection[Precision]) -> Precision:
    """Choose which of a model's files to load.

    Parameters
    ----------
    settings
        What is wished for. ONNX Runtime reads FP32 alone.
    there
        What the model has.

    Raises
    ------
    ModelError
        If the model lacks what is wished for; the message says what it has.
    """
    wished: Precision = "fp32"
    if settings.runtime == "openvino" and settings.precision == "auto":
        wished = "int8" if "int8" in there and cpu_multiplies_int8_fast() else "fp32"
    elif settings.runtime == "openvino" and settings.precision != "auto":
        wished = settings.precision
    if wished not in there:
        raise ModelError(f"the model has no {wished} file, only {', '.join(sorted(there))}: set detector.precision")
    return wished


def cpu_multiplies_int8_fast() -> bool:
    """Tell whether this CPU has VNNI, AMX or an equivalent, without which INT8 gains little."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").split())
    except OSError:
        return False
    return bool(flags & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
