"""Safe unless told otherwise, and told in one line what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.server_process import Server

from hgrpo_control.cli import main
from sim2real.server.settings import ServerSettings


def test_only_this_machine_unless_told() -> None:
    settings = ServerSettings()
    assert settings.host == "127.0.0.1"
    assert settings.loopback
    assert settings.read_token() is None
    assert ServerSettings(host="localhost").loopback
    assert ServerSettings(host="::1").loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "robot.example", ""])
def test_other_addresses_need_a_token(host: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--token-file"):
        ServerSettings(host=host)
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    settings = ServerSettings(host=host, token_file=token)
    assert not settings.loopback
    assert settings.read_token() == b"0123456789abcdef"


def test_short_tokens_are_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("   short   ")
    with pytest.raises(ValueError, match=r"token of 5 bytes; .* 16$"):
        ServerSettings(token_file=tmp_path / "token").read_token()


@pytest.mark.parametrize(
    "fields",
    [
        {"slew": 0.0},
        {"max_observation": float("nan")},
        {"request_timeout": -1.0},
        {"max_batch": 0},
        {"port": 70000},
        {"certificate": Path("a")},
    ],
)
def test_numbers_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(fields))} must be|TLS needs both"):
        ServerSettings(**fields)  # type: ignore[arg-type]


def test_the_command_line_says_what_is_wrong_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy_files: tuple[Path, Path], server: Server
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    one = str(policy_files[0])
    for words, message in (
        ((one, "--host", "0.0.0.0"), "listening there needs --token-file"),
        ((str(tmp_path / "missing.onnx"),), "cannot read"),
        ((str(tmp_path / "broken.onnx"),), "damaged"),
        ((one, one), "two policies are named 'one'"),
        ((f"a/b={one}",), "policy name 'a/b'"),
        (
            (one, "--port", str(server.port)),
            f"{server.port}: Address already in use; --port 0 takes a free one",
        ),
        ((one, "--token-file", str(tmp_path / "no token")), "No such file"),
        ((), "POLICY.onnx"),
    ):
        assert main(["serve", *words]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
        assert not captured.out
