"""The page in headless Chromium, and what it does without a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.browser import SOFTWARE_WEBGL, Tab, tab

pytest.importorskip("viser", reason="the extra `watch` is not here: pip install -c constraints.txt '.[watch]'")

import robots
from hgrpo_control.watch.controls import PRESENT, changed_options
from hgrpo_control.watch.page import AddressError, Page
from hgrpo_control.watch.pilots import Pilot
from hgrpo_control.watch.session import Entry, Session
from hgrpo_fields import fields_of

VEHICLE = Path(__file__).parents[3] / "examples" / "my_quad.toml"
PATIENCE = 240.0  # s; software draws the scene, perhaps beside other tests


def wait_until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return value


def page_of(task: str, number: int = 1, **options: Any) -> Page:
    return Page(Session(task, [Entry(Pilot(f"neutral {i}")) for i in range(number)], options))


class Running:
    """A page whose loop runs in another thread."""

    def __init__(self, page: Page) -> None:
        self.page, self._thread = page, threading.Thread(target=page.run, args=(PATIENCE,), daemon=True)
        self._thread.start()

    def ask(self, function: Callable[[], Any]) -> Any:
        """Result of a function that runs between two steps."""
        results: list[Any] = []
        self.page.do(lambda: results.append(function()))
        wait_until(lambda: results)
        return results[0]

    def stop(self) -> None:
        self.page.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def hovering() -> Iterator[Running]:
    page = page_of("quadrotor-hover")
    page.pace.paused = True  # software draws a still scene much faster
    running = Running(page)
    yield running
    running.stop()
    page.close()


@pytest.mark.slow
def test_browser_shows_a_drone_that_moves_and_is_pushed(hovering: Running, tmp_path: Path) -> None:
    page = hovering.page
    with tab(tmp_path, (*SOFTWARE_WEBGL, "--window-size=640,480")) as browser:
        browser.call("Page.navigate", url=page.url)
        wait_until(page.server.get_clients)
        wait_until(lambda: "quadrotor-hover" in (browser.evaluate("document.body.innerText") or ""))
        before, place, steps = still_picture(browser), page.session.flights[0].position, page.session.steps
        click(browser, "Run", lambda: page.session.steps > steps + 20)
        click(browser, "Pause", lambda: page.pace.paused)
        assert np.linalg.norm(page.session.flights[0].position - place) > 1e-3
        hovering.ask(lambda: page.session.restart(0))
        velocity = page.session.flights[0].state.body.velocity[0].numpy()
        click(browser, "Disturb", lambda: browser.evaluate(place_of("Push")))
        speed = velocity[0] + 1.9  # of at least 2 m/s along +x
        click(browser, "Push", lambda: page.session.flights[0].state.body.velocity[0, 0] > speed)
        assert still_picture(browser) != before
        assert "Runtime.exceptionThrown" not in {event["method"] for event in browser.events}


def place_of(text: str) -> str:
    """Expression of the middle of the button or tab of this text, where nothing covers it; else null."""
    return f"""(text => {{
        const shown = [...document.querySelectorAll('button,[role=tab]')].find(e => e.innerText.trim() == text);
        if (!shown) return null;
        shown.scrollIntoView();
        const box = shown.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
        return shown.contains(document.elementFromPoint(x, y)) ? [x, y] : null;
    }})('{text}')"""


def click(browser: Tab, text: str, effect: Callable[[], Any]) -> None:
    """Click with the mouse on a button or tab until it has an effect: the page may move under a click."""
    end = time.monotonic() + PATIENCE
    while not effect():
        assert time.monotonic() < end, f"a click on {text} had no effect"
        if (place := browser.evaluate(place_of(text))) is None:
            time.sleep(0.1)
            continue
        x, y = place
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        for _ in range(100):  # software may take seconds to draw what follows
            if effect():
                return
            time.sleep(0.1)


def still_picture(browser: Tab) -> bytes:
    """A screenshot that no longer changes."""
    last = browser.screenshot()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(1.0)
        if (now := browser.screenshot()) == last:
            return now
        last = now
    raise AssertionError("the picture changes in a pause")


@pytest.mark.parametrize(("task", "number"), [(task, 1 + i % 2) for i, task in enumerate(robots.names())])
def test_every_task_is_drawn(task: str, number: int) -> None:
    page = page_of(task, number)
    nodes = set(page.server.scene._handle_from_node_name)
    assert f"/world/flight_{number - 1}" in nodes
    assert any(name.startswith("/world/flight_0/body_") for name in nodes)
    assert ("/world/target" in nodes) == (page.session.target is not None)
    assert ("/world/flight_0/label" in nodes) == (number > 1)
    for _ in range(5):
        page.session.step()
        page.world.draw()
    page.session.push((1.0, 0.0, 0.0))
    page.world.show_push(np.array((1.0, 0.0, 0.0)))
    page.world.draw()
    page.controls.plots.draw()
    page.controls.show_status()
    page.close()


def test_nodes_follow_the_drone_and_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("quadrotor-hover", difficulty="0")
    page.session.push((2.0, 0.0, 0.0))
    for _ in range(20):
        page.session.step()
    page.world.draw()
    body = next(h for name, h in page.server.scene._handle_from_node_name.items() if name.endswith("/body_1"))
    np.testing.assert_allclose(body.position, page.session.flights[0].position, atol=1e-5)
    page._move_target(np.array((0.5, 0.0, 2.5)))
    page.run(0.05)
    assert page.session.target is not None
    np.testing.assert_allclose(page.session.target, (0.5, 0.0, 2.5), atol=1e-5)
    page.world.draw()
    handle = page.server.scene._handle_from_node_name["/world/target"]
    np.testing.assert_allclose(handle.position, (0.5, 0.0, 2.5), atol=1e-5)
    floor = page.server.scene._handle_from_node_name["/world/floor"]
    np.testing.assert_allclose(floor.position, (0.0, 0.0, 0.5), atol=1e-5)  # the target's constant height above it
    page.close()


def test_a_drone_of_ones_own_is_watched_and_keeps_its_numbers_beside_other_options() -> None:
    page = page_of("quadrotor-hover", quadrotor=str(VEHICLE))
    options = page.session.flights[0].simulator.options
    fields = fields_of(type(options), options)
    texts = {field.name: str(field.default) for field in fields} | {"quadrotor": PRESENT}
    assert changed_options(fields, texts) == {}
    assert changed_options(fields, texts | {"wind": "1.5"}) == {"wind": "1.5"}
    assert changed_options(fields, texts | {"wind": "0"}) == {}
    assert changed_options(fields, texts | {"quadrotor": "race"}) == {"quadrotor": "race"}
    inputs = page.server.gui._gui_input_handle_from_uuid.values()
    assert [each.value for each in inputs if each.label == "quadrotor"] == [PRESENT]
    page._change_task({**page.session.task_options, "wind": "1.5"})
    assert page.session.flights[0].simulator.spec.robot == "my-quad"
    page.close()


def test_changed_options_build_the_page_again_and_wrong_ones_are_shown() -> None:
    page = page_of("quadrotor-gates")
    page.pace.paused = True
    page.do(lambda: page._change_task({"course": "eight"}))
    page.do(lambda: page._change_task({"course": "nine"}))
    page.run(0.3)
    assert page.session.task_options == {"course": "eight"}
    assert page.pace.paused
    assert "nine" in page.controls._status.content
    page.close()


def test_port_in_use_is_refused() -> None:
    page = page_of("quadrotor-hover")
    with pytest.raises(AddressError, match=str(page.server.get_port())):
        Page(page.session, port=page.server.get_port())
    with pytest.raises(AddressError, match=r"203\.0\.113\.1"):
        Page(page.session, host="203.0.113.1")
    page.close()


def test_page_is_on_this_machine_alone_by_default() -> None:
    page = page_of("quadrotor-hover")
    assert page.url == f"http://127.0.0.1:{page.server.get_port()}/"
    assert page.server.get_host() == "127.0.0.1"
    page.close()
