"""A policy behind `hgrpo serve`, as the loop that flies asks it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from policies.spec import Channel, PolicySpec
from sim2real.client.policy_client import PolicyClient
from sim2real.flight.target import NoAction
from sim2real.policy.trained_on import TrainedOn, from_fields
from sim2real.protocol.request_error import RequestError

TIMEOUT = 0.25
"""Seconds that a connection or an answer may take; the loop itself waits no longer than its deadline."""
_FOR_THIS_OBSERVATION = ("not_finite", "out_of_range", "stale", "action")


class RemotePolicy:
    """Action (A,) of an observation (O,), asked of the server at `url`, such as ws://HOST:PORT/policies/NAME.

    It may block for up to `timeout` seconds, so it belongs into a Worker, and into Reconnecting if the server may come
    and go. `spec` is the server's, without the network, which stays there. Raises as PolicyClient does, and ValueError
    where the server does not say what a policy's interface is.
    """

    spec: PolicySpec
    trained_on: TrainedOn | None
    """None where the server does not say."""

    def __init__(
        self, url: str, token: str | None = None, timeout: float = TIMEOUT, context: ssl.SSLContext | None = None
    ) -> None:
        self._client = PolicyClient(url, token, timeout, context)
        try:
            self.spec = _spec(self._client.metadata)
            self.trained_on = from_fields(self._client.metadata.get("trained_on"))
        except BaseException:
            self._client.close()
            raise

    def __call__(self, observation: NDArray[np.float32], /) -> NDArray[Any]:
        """The served policy's action, as the server's guards let it pass.

        Raises NoAction where the server refuses this observation, RequestError where it refuses how it is asked,
        TimeoutError, ConnectionError.
        """
        try:
            return self._client.infer(observation).action
        except RequestError as refusal:
            if refusal.reason in _FOR_THIS_OBSERVATION:
                raise NoAction(str(refusal)) from refusal
            raise

    def close(self) -> None:
        """End the connection."""
        self._client.close()


def _spec(metadata: Mapping[str, Any]) -> PolicySpec:
    """The interface that a server describes; raises ValueError where it does not."""
    try:
        return PolicySpec(
            task=metadata["task"],
            robot=metadata["robot"],
            control_hz=_number(metadata["control_hz"]),
            observation=tuple(Channel(**entry) for entry in metadata["observation"]),
            action=tuple(Channel(**entry) for entry in metadata["action"]),
            action_low=tuple(map(_number, metadata["action_low"])),
            action_high=tuple(map(_number, metadata["action_high"])),
            safe_action=tuple(map(_number, metadata["safe_action"])),
            hidden_sizes=(),
        )
    except (KeyError, TypeError, OverflowError, ValueError) as error:
        raise HgrpoError(f"the server does not describe a policy of ours: {error}") from error


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{type(value).__name__} where a number is expected")
    return float(value)  # type: ignore[arg-type]
