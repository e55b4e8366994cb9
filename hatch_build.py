"""Hatchling's build hook: compiles the modules of ``llmsched/kernel`` that have a ``.pxd``.

``LLMSCHED_KERNEL`` in the environment of the build decides: ``python`` compiles nothing,
``compiled`` fails where nothing can be compiled; without it the build falls back on the sources.
"""

import os
import runpy
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "llmsched.kernel"
FOLDER = Path(*PACKAGE.split("."))
DIRECTIVES = {
    "annotation_typing": False,  # an `int` would be a Python object; the .pxd has the C types
    "boundscheck": False,
    "cpow": True,
    "infer_types": True,
    "wraparound": False,
}
# Contracted or processor-specific arithmetic would differ from Python's in last digits.
FLAGS = [] if sys.platform == "win32" else ["-O2", "-g0", "-ffp-contract=off"]


class KernelHook(BuildHookInterface):
    """Adds the extension modules to the wheel, or leaves them in the checkout when editable."""

    def initialize(self, version, build_data):
        """Compile, or fall back; a stamp beside the sources says what happened."""
        wanted = os.environ.get("LLMSCHED_KERNEL", "")
        if wanted not in ("", "python", "compiled"):
            raise ValueError(f"LLMSCHED_KERNEL: expected python or compiled, got {wanted!r}")
        with chdir(self.root):
            built = runpy.run_path(str(FOLDER / "built.py"))
            suffix, stamp = built["SUFFIX"], FOLDER / built["STAMP"]
            remove(suffix, stamp)
            if wanted == "python":
                return
            extensions = translated(built["modules"](FOLDER), built["SHARED"])
            try:
                compile_all(extensions)
            except Exception as error:  # setuptools' own, or the operating system's
                remove(suffix, stamp)
                if wanted == "compiled":
                    raise
                stamp.write_text("no working compiler at install", encoding="utf-8")
                self.app.display_warning(f"{PACKAGE} is not compiled, and slower: {error}")
            else:
                stamp.write_text(built["checksums"](FOLDER), encoding="utf-8")
                build_data["pure_python"] = False
                build_data["infer_tag"] = True
                build_data["artifacts"].append(f"{FOLDER.as_posix()}/*{suffix}")
            build_data["artifacts"].append(stamp.as_posix())


def remove(suffix, stamp):
    """Remove what an earlier build made for this Python."""
    for path in FOLDER.glob(f"*{suffix}"):
        path.unlink()
    stamp.unlink(missing_ok=True)


def translated(modules, shared):
    """Translate all modules to C, which needs no compiler: what fails here is a mistake of ours.

    All, and not the edited one alone: each relies on the tables of methods in the others' .pxd.
    """
    from Cython.Build import cythonize
    from setuptools import Extension

    os.makedirs("build", exist_ok=True)
    shared_c = f"build/{shared}.c"
    subprocess.run([sys.executable, "-m", "cython", f"--generate-shared={shared_c}"], check=True)
    extensions = cythonize(
        [Extension(f"{PACKAGE}.{name}", [str(FOLDER / f"{name}.py")]) for name in modules],
        build_dir="build",
        compiler_directives=DIRECTIVES,
        force=True,
        shared_utility_qualified_name=f"{PACKAGE}.{shared}",
    )
    extensions.append(Extension(f"{PACKAGE}.{shared}", [shared_c]))
    for extension in extensions:
        extension.extra_compile_args = FLAGS
    return extensions


def compile_all(extensions):
    """Compile C to extension modules beside their sources."""
    from setuptools import Distribution

    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.inplace = command.force = command.parallel = True
    command.ensure_finalized()
    command.run()
