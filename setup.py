"""Builds the native extensions and packs the files that commands read; everything else stands in pyproject.toml.

Every `.pyx` under `alphazero/` is one extension module of the same name. The flags are in
`alphazero/native_flags.py`.

ALPHAZERO_NATIVE in the environment says what a build that fails means: `try` (the default) leaves the module
out with a warning, so that installing works without a compiler; `require` fails; `skip` builds none.
ALPHAZERO_DEBUG_BUILD=1 checks array bounds and optimizes less: the same results, slower.
"""

import os
import runpy
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

FLAGS = runpy.run_path("alphazero/native_flags.py")  # by path: the package is not importable in every build
DEBUG = FLAGS["is_debug_build"]()
NATIVE = os.environ.get("ALPHAZERO_NATIVE", "try")


# What lies beside the package in the repository, and where an installed one has it.
PACKED = {
    "profiles": "alphazero/profiles",
    "workflow/phases": "alphazero/workflow_files/phases",
    "workflow/quality": "alphazero/workflow_files/quality",
}


class BuildPyWithFiles(build_py):
    """Puts what `PACKED` names inside the package, where an installed wheel has it."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for source, target in PACKED.items():
            for path in sorted(Path(source).rglob("*.toml")):
                place = Path(self.build_lib, target, path.relative_to(source))
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)


def extensions() -> list[Extension]:
    return [
        Extension(
            ".".join(path.with_suffix("").parts),
            [path.as_posix()],
            include_dirs=["."],
            depends=sorted(path.as_posix() for path in Path("alphazero").rglob("*.h")),
            extra_compile_args=FLAGS["compile_flags"](),
            language="c++",
            optional=NATIVE == "try",
        )
        for path in sorted(Path("alphazero").rglob("*.pyx"))
    ]


def cythonized() -> list[Extension]:
    from Cython.Build import cythonize

    return cythonize(
        extensions(),
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    )


if NATIVE not in ("try", "require", "skip"):
    sys.exit(f"ALPHAZERO_NATIVE is {NATIVE!r}; it may be try, require or skip")
setup(ext_modules=[] if NATIVE == "skip" else cythonized(), cmdclass={"build_py": BuildPyWithFiles})
