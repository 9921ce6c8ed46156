"""The status page in a real browser, driven over its debugging protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.browser import Tab, tab
from support.server_process import OBSERVATIONS, PATIENCE, Server, wait_until

from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.protocol.request_error import RequestError

pytestmark = pytest.mark.slow


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Tab]:
    with tab(tmp_path) as opened:
        yield opened


def test_the_page_shows_rate_latency_rejects_and_metadata(
    page: Tab, policy_files: tuple[Path, Path], one: OnnxPolicy, two: OnnxPolicy
) -> None:
    running = Server(policy_files[0], f"<b>={policy_files[1]}".replace("<b>", "other"), "--max-observation", "50")
    page.call("Page.navigate", url=f"http://127.0.0.1:{running.port}/")
    with PolicyClient(running.url(), timeout=PATIENCE) as client:
        for _ in range(3):
            with pytest.raises(RequestError):
                client.infer([np.nan, 0.0, 0.0])
        wait_until(lambda: client.infer(OBSERVATIONS[0]) and page.text("state") == "live")
        wait_until(lambda: client.infer(OBSERVATIONS[0]) and float(page.text("rate")) > 0.0)
        assert page.text("connections") == "1"
        assert page.text("rejects") == "3"
        total = sum(sum(entry["counts"]) for entry in running.status()["metrics"]["latency"])
        wait_until(lambda: page.text("total") == str(total))
        counts = page.evaluate("[...document.querySelectorAll('#latency rect')].map(r => +r.dataset.count)")
        assert sum(counts) == total
        heights = page.evaluate("[...document.querySelectorAll('#latency rect')].map(r => r.height.baseVal.value)")
        assert max(heights) == pytest.approx(140)  # the fullest bin
        assert np.argmax(heights) == np.argmax(counts)
        assert "onewebsocketnot_finite3" in page.text("reasons")
        policies = page.text("policies")
        for policy in (one, two):
            assert policy.metadata["checkpoint_sha256"] in policies
        assert "observation u" + "m/s" + "body" + "[-50, 50]" in policies
        assert "action thrustN[0, 0.6]" in policies
    _check_that_the_page_needs_nobody_else(page, running)
    assert running.stop() == 0
    wait_until(lambda: page.text("state").startswith("no reply"))


def _check_that_the_page_needs_nobody_else(page: Tab, running: Server) -> None:
    asked = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert {url.rpartition("/")[0] for url in asked} == {f"http://127.0.0.1:{running.port}"}
    assert "Runtime.exceptionThrown" not in {event["method"] for event in page.events}
    logged = [e["params"]["entry"] for e in page.events if e["method"] == "Log.entryAdded"]
    assert [entry["text"] for entry in logged if "favicon" not in entry.get("url", "")] == []
    # its own policy forbids what is not its own
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.x = 1'}))"
    )
    assert page.evaluate("typeof window.x") == "undefined"
