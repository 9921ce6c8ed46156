"""Sources of Gymnasium environments: an id, a factory, or one environment object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.wrappers import TimeLimit

from hgrpo_errors import closest
from hgrpo_imports import UserModuleError, load
from robots.from_gymnasium.options import EnvironmentRefusedError
from robots.registry import UnknownTaskError

Environment = gymnasium.Env[Any, Any]


class Source:
    """Makes instances of one environment without their time limit, which is kept in `time_limit`.

    Args:
        environment: An id of Gymnasium's registry, MODULE:ID, MODULE:FACTORY, a callable that returns an environment,
            or an environment object, which is then the only instance.
        kwargs: Arguments of the constructor.

    Raises:
        UnknownTaskError: The id is not registered.
        EnvironmentRefusedError: The module cannot be imported, or there are arguments for an environment object.
    """

    def __init__(self, environment: str | Callable[..., Environment] | Environment, kwargs: dict[str, Any]) -> None:
        self.kwargs = kwargs
        self.time_limit: int | None = None
        self.only: Environment | None = None
        if isinstance(environment, gymnasium.Env):
            self.only, self.name = environment, _name_of(environment)
            if kwargs:
                raise EnvironmentRefusedError(
                    f"{self.name} is an environment object and has no options; given {_words(kwargs)}"
                )
        elif isinstance(environment, str):
            self.name = environment
            self._factory = _by_name(environment)
        else:
            self.name = getattr(environment, "__name__", type(environment).__name__)
            self._factory = environment

    def make(self, **more: Any) -> Environment:
        """Make an instance with the source's arguments and more; raises EnvironmentRefusedError if that fails."""
        if self.only is None:
            try:
                made = self._factory(**self.kwargs, **more)
            except Exception as error:  # a constructor may raise anything
                given = f" with {_words({**self.kwargs, **more})}" if self.kwargs or more else ""
                raise EnvironmentRefusedError(f"{self.name} cannot be made{given}: {one_line(error)}") from error
            if not isinstance(made, gymnasium.Env):
                raise EnvironmentRefusedError(
                    f"{self.name} made a {type(made).__name__}; allowed: a gymnasium.Env (of the package gymnasium)"
                )
        else:
            made = self.only
        bare, limit = without_time_limit(made)
        if self.only is not None:
            self.only = bare
        if limit is None and made.spec is not None:
            limit = made.spec.max_episode_steps
        self.time_limit = limit if limit is not None else self.time_limit
        return bare


def without_time_limit(env: Environment) -> tuple[Environment, int | None]:
    """Remove all TimeLimit wrappers; returns the environment and the shortest limit in control steps."""
    limits = []
    while isinstance(env, TimeLimit):
        limits.append(env._max_episode_steps)
        env = env.env
    layer = env
    while isinstance(layer, gymnasium.Wrapper):
        while isinstance(layer.env, TimeLimit):
            limits.append(layer.env._max_episode_steps)
            layer.env = layer.env.env
        layer = layer.env
    return env, min(limits, default=None)


def layers(env: Environment) -> list[Environment]:
    """The environment and all environments that it wraps, outermost first."""
    found = [env]
    while isinstance(found[-1], gymnasium.Wrapper):
        found.append(found[-1].env)
    return found


def one_line(error: BaseException) -> str:
    """An exception as `Type: message` on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _by_name(name: str) -> Callable[..., Environment]:
    """Factory of an id, MODULE:ID or MODULE:FACTORY.

    Modules are also searched in the current directory.
    """
    module_name, colon, member = name.rpartition(":")
    if colon:
        try:
            module = load(module_name)
        except UserModuleError as error:
            raise EnvironmentRefusedError(f"module {module_name!r} of {name!r} {error}") from error
        if callable(getattr(module, member, None)):
            return getattr(module, member)
    if member not in gymnasium.registry:
        raise UnknownTaskError(f"gymnasium/{name}", _hint(f"{module_name}:" if colon else "", member))
    return lambda **kwargs: gymnasium.make(member, disable_env_checker=True, **kwargs)


def _hint(before: str, member: str) -> str:
    close = closest(member, list(gymnasium.registry))
    if close:
        return f"did you mean 'gymnasium/{before}{close}'?"
    if before:
        return f"module {before[:-1]!r} neither registers that id with Gymnasium nor has a factory of that name"
    return "Gymnasium has no such id; name the module that registers it too: gymnasium/MODULE:ID"


def _name_of(env: Environment) -> str:
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _words(kwargs: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in kwargs.items())
