"""Builds the native extensions and packs the hardware profiles; everything else stands in pyproject.toml.

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


class BuildPyWithProfiles(build_py):
    """Puts the hardware profiles inside the package, where an installed wheel finds them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "alphazero" / "profiles"
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(Path("profiles").glob("*.toml")):
            shutil.copy(path, folder)


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
setup(ext_modules=[] if NATIVE == "skip" else cythonized(), cmdclass={"build_py": BuildPyWithProfiles})
