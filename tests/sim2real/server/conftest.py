"""Policies and a server that tests share as long as they change nothing."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server_process import Server, write_certificate, write_policy

from sim2real.policy.onnx_policy import OnnxPolicy


@pytest.fixture(scope="session")
def policy_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two policies with one interface."""
    folder = tmp_path_factory.mktemp("policies")
    return write_policy(folder / "one.onnx", 0), write_policy(folder / "two.onnx", 1)


@pytest.fixture(scope="session")
def one(policy_files: tuple[Path, Path]) -> OnnxPolicy:
    return OnnxPolicy(policy_files[0])


@pytest.fixture(scope="session")
def two(policy_files: tuple[Path, Path]) -> OnnxPolicy:
    return OnnxPolicy(policy_files[1])


@pytest.fixture(scope="session")
def server(policy_files: tuple[Path, Path]) -> Iterator[Server]:
    """Both policies, observations up to 100, short patience."""
    limits = ("--max-observation", "100", "--request-timeout", "1", "--heartbeat", "2", "--max-connections", "12")
    running = Server(*policy_files, *limits)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.output, running.output


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def trust(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))
