"""Shows griffe the public names that a package loads when they are first used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from griffe import Alias, Extension, Module

_NAME = re.compile(r'"(\w+)": "([\w.]+)"')


class LazyNames(Extension):
    """Adds each name of a package's `_LAZY` as an alias of what it stands for."""

    def on_package(self, *, pkg: Module, **kwargs: Any) -> None:
        """Read `_LAZY` of the package's source."""
        if "_LAZY" not in pkg.members or not isinstance(pkg.filepath, Path):
            return
        written = pkg.filepath.read_text(encoding="utf-8").split("_LAZY = {", 1)[1].split("}", 1)[0]
        for name, module in _NAME.findall(written):
            pkg.set_member(name, Alias(name, f"{module}.{name}"))
