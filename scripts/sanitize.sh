#!/usr/bin/env bash
# Runs the parity tests (trees, rules, line planes, the engine winograd, kernels of training) with the native code under AddressSanitizer and UndefinedBehaviorSanitizer.
#
#   scripts/sanitize.sh [PYTHON] [pytest arguments]        (default: .venv/bin/python, the parity tests)
#
# Builds in a copy, so that the ordinary build stays. Exit status 77: this machine cannot run it (another system
# than Linux, or no runtime of the sanitizers), with the reason on standard error.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(command -v "${1:-.venv/bin/python}") || { echo "error: no Python at ${1:-.venv/bin/python}" >&2; exit 1; }
case $python in /*) ;; *) python=$PWD/$python ;; esac
shift || true
compiler=${CXX:-g++}
if [ "$(uname)" != Linux ]; then
    echo "sanitizers: only run on Linux" >&2
    exit 77
fi
asan=$("$compiler" -print-file-name=libasan.so 2>/dev/null || true)
ubsan=$("$compiler" -print-file-name=libubsan.so 2>/dev/null || true)
stdcxx=$("$compiler" -print-file-name=libstdc++.so 2>/dev/null || true)
if [ ! -e "$asan" ] || [ ! -e "$ubsan" ]; then
    echo "sanitizers: $compiler has no libasan.so and libubsan.so here (Debian: install g++)" >&2
    exit 77
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r alphazero tests profiles setup.py pyproject.toml README.md LICENSE "$copy"
cd "$copy"
find alphazero -name '*.so' -delete
rm -rf build

# A debug build: bounds checks of Cython besides, and little optimization, which keeps the build short.
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1"
# CPPFLAGS, because setuptools does not hand CFLAGS to the C++ compiler.
CPPFLAGS=$sanitizers LDFLAGS="-fsanitize=address,undefined" \
    ALPHAZERO_DEBUG_BUILD=1 ALPHAZERO_NATIVE=require \
    "$python" setup.py --quiet build_ext --inplace ${SANITIZE_JOBS:+-j"$SANITIZE_JOBS"}
for module in $(find alphazero -name '*.so'); do
    grep -q __asan_report "$module" && grep -q __ubsan_handle "$module" ||
        { echo "error: $module was built without the sanitizers" >&2; exit 1; }
done

# Python itself leaks by design and is not instrumented; its allocator would hide errors from the sanitizer.
export LD_PRELOAD="$asan $ubsan $stdcxx"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
export PYTHONMALLOC=malloc OMP_NUM_THREADS=1
[ $# -gt 0 ] || set -- tests/mcts -k "not whole_games or solver" tests/games/test_perft.py tests/network/test_line_planes.py \
    tests/network/test_winograd_engine.py tests/network/test_fused_training.py \
    tests/network/test_cached_evaluator.py \
    -m "not slow" -n 2
"$python" -m pytest -p no:cacheprovider "$@"
