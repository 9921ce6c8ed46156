"""Exports of a policy, servers for it, and the loop that flies it.

`import sim2real` does not load torch, onnx or onnxruntime. They are loaded when a name that needs them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgrpo_imports import lazy_names

if TYPE_CHECKING:
    from sim2real.export.exportable import ExportError
    from sim2real.policy.c_policy import CPolicy
    from sim2real.policy.onnx_policy import OnnxPolicy, OnnxPolicyError

_LAZY = {
    "CPolicy": "sim2real.policy.c_policy",
    "ExportError": "sim2real.export.exportable",
    "OnnxPolicy": "sim2real.policy.onnx_policy",
    "OnnxPolicyError": "sim2real.policy.onnx_policy",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

__all__ = ["CPolicy", "ExportError", "OnnxPolicy", "OnnxPolicyError"]
