"""Adam over one flat vector of parameters, without the import of torch's optimisers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.999)


class Adam:
    """Adam (Kingma and Ba, 2015) on all parameters at once.

    The parameters and their gradients become views of the flat vectors `value` and `gradient` (P,), in the order given,
    so clipping, reducing and stepping take one operation each. Moving a parameter to another device or type afterwards
    breaks that tie.

    Args:
        parameters: Of one device and type.
        eps: Added to the root of the second moment.
        terms: Numbers behind the gradient in `message`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], eps: float = 1e-5, terms: int = 0) -> None:
        chosen = list(parameters)
        self.eps = eps
        self.value = torch.cat([parameter.detach().flatten() for parameter in chosen])
        self.message = self.value.new_zeros(len(self.value) + terms)
        """The gradient and other numbers in one vector (P + terms,), which processes average at once."""
        self.gradient, self.terms = self.message[: len(self.value)], self.message[len(self.value) :]
        self.mean, self.square = torch.zeros_like(self.value), torch.zeros_like(self.value)
        """Gradient (P,) and its running mean (P,) and mean square (P,)."""
        self.steps = torch.zeros((), dtype=torch.float32, device=self.value.device)
        sizes = [parameter.numel() for parameter in chosen]
        for parameter, value, slope in zip(chosen, self.value.split(sizes), self.gradient.split(sizes), strict=True):
            parameter.data = value.view(parameter.shape)
            parameter.grad = slope.view(parameter.shape)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters by the gradient."""
        self.steps += 1
        torch._fused_adam_(
            [self.value],
            [self.gradient],
            [self.mean],
            [self.square],
            [],
            [self.steps],
            lr=learning_rate,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Both moments and the number of steps."""
        return {"mean": self.mean, "square": self.square, "steps": self.steps}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`, or from that of torch.optim.Adam on the same parameters."""
        if "state" in saved:
            saved = _of_torch(saved, self)
        for name, moment in self.state_dict().items():
            moment.copy_(saved[name])


@torch.no_grad()
def clip_gradients(gradients: list[Tensor], limit: float) -> Tensor:
    """Scale each gradient in place by limit / norm where that is below 1.

    Returns (k,) the norms of the k gradients before. A gradient whose norm is not finite is lost.
    """
    norms = torch.stack(torch._foreach_norm(gradients))
    torch._foreach_mul_(gradients, list((limit / (norms + 1e-6)).clamp_max(1.0).unbind()))
    return norms


def _of_torch(saved: dict[str, Any], like: Adam) -> dict[str, Tensor]:
    """Our state from that of torch.optim.Adam, which has no moments before its first step."""
    parts = [saved["state"][index] for index in sorted(saved["state"])]
    if not parts:
        return {name: torch.zeros_like(moment) for name, moment in like.state_dict().items()}
    mean, square = (torch.cat([part[name].flatten() for part in parts]) for name in ("exp_avg", "exp_avg_sq"))
    return {"mean": mean, "square": square, "steps": parts[0]["step"]}
