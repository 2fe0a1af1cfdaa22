"""Freed memory stays in the process on Linux with glibc, and nothing happens elsewhere."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from alphazero.network.cpu_allocator import keep_freed_memory

ROOT = Path(__file__).parents[2]

# Allocates and frees 64 MiB over and over; prints the page faults that the repetitions cost.
FAULTS_OF_REPEATED_ALLOCATION = """
import resource, sys
from alphazero.network.cpu_allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
import numpy
numpy.ones(1 << 26, dtype=numpy.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    numpy.ones(1 << 26, dtype=numpy.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    command = [sys.executable, "-c", FAULTS_OF_REPEATED_ALLOCATION, mode]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's allocator only"
)
def test_repeated_large_allocations_cost_no_new_pages() -> None:
    assert page_faults("keep") * 4 < page_faults("default")


@pytest.mark.skipif(sys.platform == "linux", reason="Linux may have glibc")
def test_nothing_happens_on_other_systems() -> None:
    assert keep_freed_memory() is False
