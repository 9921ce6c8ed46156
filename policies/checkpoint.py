"""Checkpoints: one file that loads without unpickling code and is replaced atomically."""

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
from policies.spec import PolicySpec

CHECKPOINT_NAME = "checkpoint.pt"
FORMAT = 2
"""Of the files written here. Those of format 1 do not say so, and some normalised observations by another rule."""

_LOADING_ERRORS = (
    RuntimeError,
    EOFError,
    OSError,  # what torch makes of a file that ends too soon
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
    """Raised for a checkpoint that is missing, damaged or of another kind; says which and where."""


def save(path: Path, policy: ActorCritic, training: dict[str, Any] | None = None) -> None:
    """Write policy and training state (tensors, numbers, strings and containers of them) to `path` atomically.

    Tensors are written as those of the CPU, wherever they lie, so that a run on a GPU is read on any machine. Raises
    FileError, and leaves what was there, if the file cannot be written.
    """
    parts = {"spec": policy.spec.to_json(), "policy": dict(policy.state_dict()), "training": training or {}}
    content = _on_cpu({"format": FORMAT, **parts})
    serialised = io.BytesIO()  # torch's own writer turns a full disk into an error about positions in a file
    torch.save(content, serialised)
    write_bytes(path, serialised.getbuffer())


def _on_cpu(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _on_cpu(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(_on_cpu(value) for value in content)
    return content.cpu() if isinstance(content, torch.Tensor) else content


def load(folder: str | Path) -> ActorCritic:
    """The policy of a run folder or checkpoint file, ready to act; raises CheckpointError."""
    return restore(folder)[0]


def restore(folder: str | Path) -> tuple[ActorCritic, dict[str, Any]]:
    """Policy and training state of a run folder or checkpoint file; raises CheckpointError or FileError.

    A file of format 1 is refused where a policy in it, its reference included, would see an observation scaled
    otherwise than in training.
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
        raise CheckpointError(f"{path} has format {version}, of a later release; this one reads up to {FORMAT}")
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
    """Raise CheckpointError for an entry of an older policy that would be scaled otherwise than in training."""
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
                    f"{path} is of an older release, which scaled the observation {entry.name!r} by {before:.3g} where "
                    f"this one scales by {after:.3g}, so the policy would act otherwise; train it again"
                )


def _require_finite(policy: ActorCritic, path: Path) -> None:
    """Raise CheckpointError for weights or statistics that no action could be computed with."""
    for name, tensor in policy.state_dict().items():
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            raise CheckpointError(f"{path} cannot be used: {bad} of {tensor.numel()} numbers in {name} are not finite")


def _require_intact(file: io.BytesIO) -> None:
    """Raise BadZipFile unless every byte of a record is what was written: torch does not look at the checksums."""
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"record {damaged} does not match its checksum")
    file.seek(0)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
