"""How the native extensions are compiled; also run by `setup.py`, by path, so it imports nothing of the package.

The flags are part of the contract that all tree backends agree to the bit: no fused multiply-add, no fast-math.
None names a processor: what is built runs on every one of its architecture (docs/install.md).
"""

from __future__ import annotations

import os
import sys

# Names of environment variables that setuptools adds to its command lines.
ENVIRONMENT_FLAGS = ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")


def is_debug_build() -> bool:
    """Return whether ALPHAZERO_DEBUG_BUILD=1 asks for array bounds to be checked: the same results, slower."""
    return os.environ.get("ALPHAZERO_DEBUG_BUILD", "") == "1"


def compile_flags() -> list[str]:
    """Return the compiler's options, MSVC's on Windows, else those of gcc and clang."""
    if sys.platform == "win32":
        return ["/std:c++20", "/O2", "/fp:precise", "/EHsc"]
    flags = ["-std=c++20", "-O1" if is_debug_build() else "-O3", "-ffp-contract=off", "-fno-math-errno"]
    # Pythons built for macOS before 10.13 would have clang refuse `new` of what lies on cache lines; it is there since.
    return [*flags, "-faligned-allocation"] if sys.platform == "darwin" else flags


def build_settings() -> dict[str, object]:
    """Return what of the flags goes into a build's record."""
    return {
        "flags": compile_flags(),
        "debug_build": is_debug_build(),
        "environment_flags": {name: os.environ[name] for name in ENVIRONMENT_FLAGS if os.environ.get(name)},
    }
