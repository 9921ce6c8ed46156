"""A policy of `hgrpo serve` as a policy of the control loop."""

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
"""Limit of a connection or a reply [s]; the loop itself waits until its deadline."""
_FOR_THIS_OBSERVATION = ("not_finite", "out_of_range", "stale", "action")


class RemotePolicy:
    """Action (A,) of an observation (O,), requested from a server.

    A call may block for `timeout`, so use a Worker; use Reconnecting if the server may restart.

    Args:
        url: Such as ws://HOST:PORT/policies/NAME.
        token: Token of the server.
        timeout: Limit of every call [s].
        context: TLS context for wss://.

    Raises as PolicyClient does, and HgrpoError if the server does not describe a policy.
    """

    spec: PolicySpec
    """Interface of the policy, without its network."""
    trained_on: TrainedOn | None
    """Task options and airframe of the training; None if they are unknown."""

    def __init__(
        self, url: str, token: str | None = None, timeout: float = TIMEOUT, context: ssl.SSLContext | None = None
    ) -> None:
        self._client = PolicyClient(url, token, timeout, context)
        try:
            self.spec = _spec(self._client.metadata)
            self.trained_on = from_fields(self._client.metadata.get("trained_on"))
            self._remembers = self._client.metadata.get("memory", "none") != "none"
            self._fresh = False
        except BaseException:
            self._client.close()
            raise

    def __call__(self, observation: NDArray[np.float32], /) -> NDArray[Any]:
        """Action of the served policy, after the guards of the server.

        Raises NoAction if the server refuses this observation, RequestError if it refuses the request, TimeoutError and
        ConnectionError.
        """
        try:
            action = self._client.infer(observation, self._fresh).action
            self._fresh = False
            return action
        except RequestError as refusal:
            if refusal.reason in _FOR_THIS_OBSERVATION:
                raise NoAction(str(refusal)) from refusal
            raise

    def reset(self) -> None:
        """Forget everything, as at the beginning of an episode; does nothing without memory.

        The next request carries the reset, and so do the ones after it until an action comes back.
        """
        self._fresh = self._remembers

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _spec(metadata: Mapping[str, Any]) -> PolicySpec:
    """Interface in the metadata of a server; raises HgrpoError without a valid one."""
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
        raise HgrpoError(f"the server does not describe a policy: {error}") from error


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{type(value).__name__} where a number is expected")
    return float(value)  # type: ignore[arg-type]
