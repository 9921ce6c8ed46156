"""How a policy leaves: exports, servers and the loop that flies.

Nothing here imports torch, onnx or onnxruntime until one of the names below is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "CPolicy": "sim2real.policy.c_policy",
    "ExportError": "sim2real.export.exportable",
    "OnnxPolicy": "sim2real.policy.onnx_policy",
    "OnnxPolicyError": "sim2real.policy.onnx_policy",
}

# the function export_onnx is not among them: it would hide the submodule of its name, or not, depending on import order
__all__ = ["CPolicy", "ExportError", "OnnxPolicy", "OnnxPolicyError"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sim2real' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
