"""Build hook: with CAMWARD_COMPILE=1, the wheel has the hot path compiled (docs/decisions/0023-compiled-hot-path.md).

Without it, and in an editable install, it does nothing. All that is made lies outside of the source tree.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SHARED: Final = "agent.hot_path"
"""mypyc puts the code of all modules into one library, which it calls by this name and `__mypyc`."""

# Whether the types hold is for `make lint` to say, where all packages are installed that they come from: the build has
# none of them, and takes what it does not know for Any.
_MYPY: Final = ["--config-file=", "--no-site-packages", "--ignore-missing-imports"]


class CompiledHotPath(BuildHookInterface[Any]):
    """Translates the modules of `compiled` in pyproject.toml to C, and puts the libraries beside them in the wheel.

    So does it with the page that is C as it stands (docs/decisions/0024-a-page-of-c.md).
    """

    _made: TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Name the compiler, where it is wanted."""
        wanted: list[str] = self.config["compiler"]
        return wanted if _is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile. Errors: SystemExit, after mypy has said what it does not take."""
        if not _is_wanted() or version != "standard":
            return
        self._made = TemporaryDirectory()
        libraries = _compile(Path(self.root), self.config["compiled"], Path(self._made.name))
        build_data["force_include"].update({str(path): name for name, path in libraries.items()})
        build_data["pure_python"], build_data["infer_tag"] = False, True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel now."""
        if self._made is not None:
            self._made.cleanup()


def _is_wanted() -> bool:
    return os.environ.get("CAMWARD_COMPILE", "0") not in ("", "0")


def _compile(root: Path, patterns: list[str], folder: Path) -> dict[str, Path]:
    """Give the libraries by their names in the wheel."""
    from mypyc.build import mypycify
    from setuptools import Distribution, Extension

    sources = [str(path.relative_to(root)) for pattern in patterns for path in sorted(root.glob(pattern))]
    extensions = mypycify(
        [*_MYPY, f"--cache-dir={folder / 'cache'}", *sources],
        target_dir=str(folder / "c"),
        group_name=_SHARED,
        debug_level="0",  # the libraries are a third of the size
    )
    extensions.append(Extension("agent.webrtc._wire", ["agent/webrtc/_wire.c"]))
    command = Distribution({"name": "camward", "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    return {str(path.relative_to(folder / "lib")): path for path in (folder / "lib").rglob("*.so")}
