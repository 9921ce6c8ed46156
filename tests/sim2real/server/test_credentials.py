"""Token and certificate: renewed by SIGHUP, kept where the new ones are of no use, refused in one line."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.server_process import OBSERVATIONS, PATIENCE, ROOT, Server, wait_until, write_certificate

from hgrpo_errors import HgrpoError
from hgrpo_files import FileError
from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.server.credentials import Credentials
from sim2real.server.settings import ServerSettings

pytestmark = pytest.mark.slow

OLD, NEW = "the former token", "the later token!"


def settings(certificate: Path, private_key: Path) -> ServerSettings:
    return ServerSettings(certificate=certificate, private_key=private_key)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_sighup_renews_token_and_certificate(
    tmp_path: Path, policy_files: tuple[Path, Path], one: OnnxPolicy, certificate: tuple[Path, Path]
) -> None:
    def asks(token: str, trusted: ssl.SSLContext) -> int:
        return running.ask("GET", "/v2", headers={"Authorization": f"Bearer {token}"}, context=trusted)[0]

    def told(what: str) -> int:
        return running.output.count(what)

    served, later = tmp_path / "certificate.pem", write_certificate(folder(tmp_path / "later"))
    key, token = tmp_path / "key.pem", tmp_path / "token"
    for source, target in zip(certificate, (served, key), strict=True):
        shutil.copy(source, target)
    token.write_text(OLD)
    former, new = (ssl.create_default_context(cafile=str(path)) for path in (certificate[0], later[0]))
    options = ("--token-file", token, "--certificate", served, "--private-key", key)
    running = Server(policy_files[0], *options)
    assert (asks(OLD, former), asks(NEW, former)) == (200, 401)
    url = f"wss://127.0.0.1:{running.port}/"
    with PolicyClient(url, token=OLD, timeout=PATIENCE, context=former) as client:
        shutil.copy(later[0], served)  # but not its key
        token.write_text("short")
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told("the former certificate is kept") == told("the former token is kept") == 1)
        assert "key values mismatch" in running.output
        assert "a token of 5 bytes" in running.output
        assert (asks(OLD, former), asks(NEW, former)) == (200, 401)

        shutil.copy(later[1], key)
        token.write_text(NEW)
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told("certificate: read again") == told("token: read again") == 1)
        assert (asks(OLD, new), asks(NEW, new)) == (401, 200)
        with pytest.raises(ssl.SSLCertVerificationError):
            asks(NEW, former)
        np.testing.assert_array_equal(client.infer(OBSERVATIONS[0]).action, one(OBSERVATIONS[0]))  # goes on
    assert running.stop() == 0
    assert "Traceback" not in running.output


def test_streams_of_a_former_token_are_not_found_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(OLD)
    credentials = Credentials(ServerSettings(token_file=path))
    former = credentials.token
    credentials.renew()
    assert credentials.token is former
    path.write_text(NEW)
    credentials.renew()
    assert credentials.token is not former


def test_an_encrypted_key_is_refused_in_one_line_without_asking(
    tmp_path: Path, policy_files: tuple[Path, Path]
) -> None:
    certificate, key = write_certificate(tmp_path, "-passout", "pass:abcd")
    main = "import sys; from hgrpo_control.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["serve", policy_files[0], "--certificate", certificate, "--private-key", key]
    command = [sys.executable, "-c", main, *map(str, words)]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    advice = "give a key without a passphrase: openssl pkey -in KEY -out PLAIN"
    assert ended.stderr == f"hgrpo: {key} is encrypted; {advice}\n"


def test_what_is_no_pair_is_refused_by_name(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    other = write_certificate(folder(tmp_path / "other"))
    with pytest.raises(HgrpoError, match=r"certificate.pem and .*key.pem are no PEM certificate and its key: key val"):
        Credentials(settings(certificate[0], other[1]))
    with pytest.raises(HgrpoError, match=r"are no PEM certificate and its key$"):
        Credentials(settings(certificate[1], certificate[1]))
    with pytest.raises(FileError, match=r"cannot read .*nowhere: No such file or directory"):
        Credentials(settings(tmp_path / "nowhere", certificate[1]))
