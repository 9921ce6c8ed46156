"""Served policies: numbered versions of an ONNX file, with swap and rollback."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hgrpo_errors import HgrpoError
from policies.spec import PolicySpec
from sim2real.policy import metadata
from sim2real.policy.onnx_policy import OnnxPolicy, OnnxPolicyError
from sim2real.protocol.request_error import RequestError
from sim2real.server.core.guards import ActionGuard, ObservationGuard, observation_range
from sim2real.server.file_check import read_checked
from sim2real.server.settings import ServerSettings

KEPT_VERSIONS = 4  # older versions are deleted
MOST_CHECKS = 4  # files that are checked at the same time when the server starts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Version(NamedTuple):
    """A loaded file that reproduces its golden pairs, with its guards."""

    number: str
    policy: OnnxPolicy
    observations: ObservationGuard
    actions: ActionGuard

    @property
    def remembers(self) -> bool:
        """Whether the policy has memory."""
        return self.policy.spec.memory != "none"


class ServedPolicy:
    """A policy with its file and its loaded versions.

    `active` is the version for requests without a number.

    Args:
        name: Name of the policy.
        path: Its file.
        settings: Settings of the server.
        model: Content of the file, if it was read already.

    Raises OnnxPolicyError for a file that is no policy.
    """

    def __init__(self, name: str, path: Path, settings: ServerSettings, model: bytes | None = None) -> None:
        self.name = name
        self.path = path
        self._settings = settings
        self._last = 0
        self._versions: tuple[Version, ...] = ()
        self.activate(self.read(model))

    @property
    def active(self) -> Version:
        """The version for requests without a number."""
        return self._versions[-1]

    @property
    def numbers(self) -> list[str]:
        """Numbers of the versions in memory, the active one last."""
        return [version.number for version in self._versions]

    def version(self, number: str | None) -> Version:
        """The version of a number, the active one for None.

        Raises RequestError if it is not in memory.
        """
        if number is None:
            return self._versions[-1]
        for version in self._versions:
            if version.number == number:
                return version
        raise RequestError(
            "unknown_version",
            f"policy {self.name!r} has no version {number[:20]!r}; allowed: {', '.join(self.numbers)}",
        )

    def read(self, model: bytes | None = None) -> OnnxPolicy:
        """Load the file, or its content `model`, without serving it.

        Raises OnnxPolicyError for an invalid file, and for another interface than that of the active version.
        """
        policy = OnnxPolicy(self.path, model=model)
        self._guards(policy)
        if self._versions and (difference := _difference(self.active.policy.spec, policy.spec)):
            raise OnnxPolicyError(f"{self.path} has another {difference} than the served version")
        return policy

    def activate(self, policy: OnnxPolicy) -> Version:
        """Serve a policy of `read` from the next request on, as a new version."""
        self._last += 1
        version = Version(str(self._last), policy, *self._guards(policy))
        self._versions = (
            *self._versions[1 - KEPT_VERSIONS :],
            version,
        )  # one assignment, so a request gets the old or the new tuple
        return version

    def rollback(self) -> Version:
        """Delete the active version and serve the one before it.

        Raises HgrpoError if there is none.
        """
        if len(self._versions) < 2:
            raise HgrpoError(f"policy {self.name!r} has no earlier version in memory")
        self._versions = self._versions[:-1]
        return self.active

    def _guards(self, policy: OnnxPolicy) -> tuple[ObservationGuard, ActionGuard]:
        settings = self._settings
        try:
            allowed = observation_range(policy.spec, policy.metadata, settings.max_observation)
        except ValueError as error:
            raise OnnxPolicyError(f"{self.path}: {error}") from error
        return ObservationGuard(policy.spec, allowed), ActionGuard(policy.spec, settings.slew)


async def load_policies(
    args: tuple[str, ...], settings: ServerSettings, cancelled: asyncio.Future[Any]
) -> dict[str, ServedPolicy]:
    """Policies by name; each file is checked in a process of its own.

    Args:
        args: `PATH` or `NAME=PATH` of each policy.
        settings: Settings of the server.
        cancelled: Ends the checks when it is done.

    Raises OnnxPolicyError for a file that is no policy, or is not checked in time.
    """
    few, loop = asyncio.Semaphore(MOST_CHECKS), asyncio.get_running_loop()

    async def load(name: str, path: Path) -> ServedPolicy:
        async with few:
            model = await read_checked(path, settings.load_timeout, cancelled)
            return await loop.run_in_executor(None, ServedPolicy, name, path, settings, model)

    paths = paths_by_name(args)
    return dict(zip(paths, await asyncio.gather(*(load(name, path) for name, path in paths.items())), strict=True))


def paths_by_name(args: tuple[str, ...]) -> dict[str, Path]:
    """Files of policies by name, from `PATH` (named after its file) and `NAME=PATH`.

    The first is the default.

    Raises HgrpoError without any, for a name that is given twice, and for a name that is no part of a URL.
    """
    if not args:
        raise HgrpoError("no policy to serve; expected one or more of POLICY.onnx or NAME=POLICY.onnx")
    paths: dict[str, Path] = {}
    for arg in args:
        name, separator, path = arg.partition("=")
        if not separator:
            name, path = Path(arg).stem, arg
        if not _NAME.fullmatch(name):
            raise HgrpoError(f"policy name {name!r}; allowed: up to 64 letters, digits, '_', '.' and '-'")
        if name in paths:
            raise HgrpoError(f"two policies are named {name!r}; name them with NAME=POLICY.onnx")
        paths[name] = Path(path)
    return paths


def find(policies: Mapping[str, ServedPolicy], name: str | None) -> ServedPolicy:
    """The policy of a name, the first one for None.

    Raises RequestError for an unknown name.
    """
    if name is None:
        return next(iter(policies.values()))
    if name not in policies:
        raise RequestError("unknown_policy", f"no policy {name[:64]!r}; allowed: {', '.join(policies)}")
    return policies[name]


def describe(served: ServedPolicy, settings: ServerSettings) -> dict[str, Any]:
    """Description of a policy for clients, as lists, texts and numbers."""
    version = served.active
    spec = json.loads(version.policy.spec.to_json())
    trained = version.policy.trained_on
    interface = ("task", "robot", "control_hz", "observation", "action", "action_low", "action_high", "safe_action")
    allowed = observation_range(version.policy.spec, version.policy.metadata, settings.max_observation)
    return {
        "policy": served.name,
        "version": version.number,
        "versions": served.numbers,
        **{name: spec[name] for name in interface},
        "action_type": metadata.action_type(version.policy.spec),
        "action_history": version.policy.spec.action_history,
        "memory": spec["memory"],
        "memory_size": spec["memory_size"],
        **{name: version.policy.metadata[name] for name in ("precision", "checkpoint_sha256", "producer_version")},
        "trained_on": None if trained is None else trained._asdict(),
        "observation_range": None if allowed is None else [bound.tolist() for bound in allowed],
        "slew": settings.slew,
    }


def _difference(one: PolicySpec, other: PolicySpec) -> str | None:
    """Name of the first part of the interface that differs between two specs.

    None if none does.
    """
    for name in ("robot", "control_hz", "observation", "action", "action_low", "action_high"):
        if getattr(one, name) != getattr(other, name):
            return name
    return None
