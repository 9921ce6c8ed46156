"""Checkpoint files: replaced atomically, and loaded without executing code."""

from __future__ import annotations

import io
import lzma
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from hgrpo_errors import HgrpoError
from hgrpo_files import read_bytes, write_bytes
from policies.actor_critic import ActorCritic
from policies.spec import CHECKPOINT_NAME, PolicySpec

FORMAT = 2
"""Format of the files written here.

Files of format 1 contain no format and used another rule for small scales.
"""

_LOADING_ERRORS = (
    RuntimeError,
    EOFError,
    OSError,  # raised by torch for a truncated file
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class CheckpointError(HgrpoError):
    """Raised for a checkpoint that is missing, damaged or of another kind."""


def save(path: Path, policy: ActorCritic, training: dict[str, Any] | None = None) -> None:
    """Write a policy and the state of its training atomically.

    Tensors are written as CPU tensors, so a machine without a GPU can read the file.

    Args:
        path: The file; a former one is replaced.
        policy: The policy.
        training: Tensors, numbers, strings, and containers of them.

    Raises FileError if the file cannot be written; a former file stays as it is.
    """
    parts = {"spec": policy.spec.to_json(), "policy": dict(policy.state_dict()), "training": training or {}}
    content = _on_cpu({"format": FORMAT, **parts})
    serialised = io.BytesIO()  # for a full disk torch's own writer raises an obscure error
    torch.save(content, serialised)
    write_bytes(path, serialised.getbuffer())


def _on_cpu(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _on_cpu(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(_on_cpu(value) for value in content)
    return content.cpu() if isinstance(content, torch.Tensor) else content


def load(folder: str | Path) -> ActorCritic:
    """The policy of a run folder or checkpoint file; raises CheckpointError or FileError."""
    return restore(folder)[0]


def restore(folder: str | Path) -> tuple[ActorCritic, dict[str, Any]]:
    """Policy and training state of a run folder or checkpoint file; raises CheckpointError or FileError.

    A file of format 1 is refused if a policy in it (or the reference policy) would scale an observation differently
    than in training.
    """
    path = Path(folder)
    if path.is_dir():
        path = path / CHECKPOINT_NAME
    if not path.exists():
        raise CheckpointError(f"no checkpoint at {path}")
    file = io.BytesIO(read_bytes(path))
    try:
        _require_intact(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}")
        policy = _policy(content)
        training, version = content["training"], int(content.get("format", 1))
        reference = training.get("reference")
        others = [] if reference is None or version > 1 else [_policy(reference)]
    except _LOADING_ERRORS as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint of this package: {_one_line(error)}") from error
    if version > FORMAT:
        raise CheckpointError(f"{path} has format {version}; this release reads up to format {FORMAT}")
    _require_finite(policy, path)
    if version == 1:
        for each in (policy, *others):
            _require_same_scale(path, each)
    return policy, training


def _policy(content: dict[str, Any]) -> ActorCritic:
    spec = PolicySpec.from_json(content["spec"])
    policy = ActorCritic(spec, init_sigma=2.0 * spec.min_sigma)  # overwritten by the next line
    policy.load_state_dict(content["policy"])
    return policy


def _require_same_scale(path: Path, policy: ActorCritic) -> None:
    """Raise CheckpointError for an observation that the policy would scale differently than in training."""
    spec = policy.spec
    parts = [(spec.observation, policy.normalizer)]
    if policy.privileged_normalizer is not None:
        parts.append((spec.privileged, policy.privileged_normalizer))
    for entries, normalizer in parts:
        now = normalizer.shift_and_scale()[1]
        then = normalizer.scale_of_format_1()
        for entry, before, after in zip(entries, then.tolist(), now.tolist(), strict=True):
            if before != after:
                raise CheckpointError(
                    f"{path} was written by an older release, which scaled the observation {entry.name!r} by "
                    f"{before:.3g}; this release scales it by {after:.3g}, so train the policy again"
                )


def _require_finite(policy: ActorCritic, path: Path) -> None:
    """Raise CheckpointError for weights or statistics that are not finite."""
    for name, tensor in policy.state_dict().items():
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            raise CheckpointError(f"{path} cannot be used: {bad} of {tensor.numel()} numbers in {name} are not finite")


def _require_intact(file: io.BytesIO) -> None:
    """Raise BadZipFile unless all checksums match; torch does not check them."""
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"record {damaged} does not match its checksum")
    file.seek(0)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
