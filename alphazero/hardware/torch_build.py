"""Which torch is installed and for which CUDA, read from its files: importing torch takes seconds."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

LEAST_CAPABILITY = 5.0  # Maxwell: what the oldest builds of torch with CUDA 12 have code for


def torch_build() -> tuple[str | None, str | None]:
    """Return torch's version and the CUDA version it was built for; (None, None) if it is not installed.

    The second is None for a build without CUDA.
    """
    specification = importlib.util.find_spec("torch")
    if specification is None or not specification.submodule_search_locations:
        return None, None
    try:
        text = (Path(specification.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None, None
    return _assigned_text(text, "__version__"), _assigned_text(text, "cuda")


def gpu_problem_of_build(
    torch_version: str | None,
    torch_cuda_version: str | None,
    cuda_driver_version: str | None,
    compute_capability: str | None,
) -> str | None:
    """Return why this torch cannot use a GPU that the driver knows, and what to do; None if it should."""
    if compute_capability is not None and float(compute_capability) < LEAST_CAPABILITY:
        return (
            f"the GPU has compute capability {compute_capability}, and torch needs {LEAST_CAPABILITY}; "
            "there is no torch to install for it"
        )
    if torch_version is None:
        return "torch is not installed; install torch with CUDA to use the GPU"
    if torch_cuda_version is None:
        return f"torch {torch_version} was built without CUDA; install torch with CUDA to use the GPU"
    built_for = _major(torch_cuda_version)
    if cuda_driver_version is not None and built_for > _major(cuda_driver_version):
        return (
            f"the driver serves CUDA {cuda_driver_version} at most, and torch {torch_version} was built for "
            f"CUDA {torch_cuda_version}; update the driver or install torch for an older CUDA"
        )
    # CUDA 13 dropped the architectures before Turing (release notes of CUDA Toolkit 13.0).
    if built_for >= 13 and compute_capability is not None and float(compute_capability) < 7.5:
        return (
            f"torch {torch_version} was built for CUDA {torch_cuda_version}, which needs compute capability "
            f"7.5, and the GPU has {compute_capability}; install torch for CUDA 12"
        )
    return None


def _assigned_text(source: str, name: str) -> str | None:
    match = re.search(rf"^{name}\b[^=\n]*=\s*['\"]([^'\"]*)['\"]", source, re.MULTILINE)
    return match[1] if match else None


def _major(version: str) -> int:
    return int(version.split(".")[0])
