"""Where a figure comes from: commit, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import torch


def describe_origin() -> dict[str, str | int]:
    """Commit (with a + where the working tree differs from it), versions and machine of this process."""
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cores": os.cpu_count() or 0,
        "machine": platform.machine(),
        "system": platform.system(),
    }


def _commit() -> str:
    """Abbreviated hash of the repository this file lies in; "unknown" outside of one."""
    folder = Path(__file__).parent
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changed else head


def _git(folder: Path, *words: str) -> str:
    command = ["git", "--no-optional-locks", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
