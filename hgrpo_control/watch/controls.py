"""The panel of the page: time, disturbances, options of the task, plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import viser

from hgrpo_control.watch.pace import Pace
from hgrpo_control.watch.plots import Plots
from hgrpo_control.watch.session import Session
from hgrpo_control.watch.world import World
from hgrpo_fields import Field, fields_of
from robots.options import parts_of

DIRECTIONS = {
    "+x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "+y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "up": (0.0, 0.0, 1.0),
    "down": (0.0, 0.0, -1.0),
}
"""Directions of a push in the world."""
STRONGEST_PUSH, STRONGEST_WIND = 5.0, 6.0  # m/s, m/s^2
SPEEDS = (0.05, 2.0)  # simulated time over real time
PRESENT = "present value"
"""Choice of an option whose value is none of its named ones."""

Do = Callable[[Callable[[], None]], None]
"""Runs a function in the thread of the simulation."""


class Controls:
    """The panel.

    Args:
        server: The server of the page.
        session: The flights.
        pace: Speed and pause.
        world: The scene.
        do: Runs a function in the thread of the simulation, before the next step.
        change_task: Builds the task again with other options.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        session: Session,
        pace: Pace,
        world: World,
        do: Do,
        change_task: Callable[[dict[str, str]], None],
    ) -> None:
        self._gui, self._session, self._pace, self._world, self._do = server.gui, session, pace, world, do
        self._status = self._gui.add_markdown("")
        tabs = self._gui.add_tab_group()
        with tabs.add_tab("Fly"):
            self._add_time()
        if session.can_push or session.can_disturb:
            with tabs.add_tab("Disturb"):
                self._add_disturbances()
        with tabs.add_tab("Task"):
            self._add_options(change_task)
        self.plots = Plots(self._gui, session)
        self.show_status()

    def show_status(self, problem: str = "") -> None:
        """Write time, speed and every pilot's episode."""
        session, pace = self._session, self._pace
        lines = [f"**{session.task}**, start {session.seed}, {session.episode_time:.1f} s"]
        if pace.paused:
            lines.append("paused")
        elif pace.measured is not None:
            slow = ": this machine is too slow for the wanted speed" if pace.too_slow else ""
            lines.append(f"{pace.measured:.2f} x real time{slow}")
        for flight in session.flights:
            note = f" ({flight.pilot.note})" if flight.pilot.note else ""
            ended = f", {flight.outcome}" if flight.outcome else ""
            lines.append(f"{flight.pilot.name}{note}: return {flight.total:.1f}{ended}")
        if problem:
            lines.append(f"**{problem}**")
        text = "  \n".join(lines)
        if self._status.content != text:
            self._status.content = text

    def _add_time(self) -> None:
        gui, session, pace, world = self._gui, self._session, self._pace, self._world
        buttons = gui.add_button_group("Time", ("Run", "Pause", "Step"))
        starts = gui.add_button_group(
            "Start", ("Next", "Same"), hint="Begin again from another or from the same start."
        )
        speed = gui.add_slider("Speed", *SPEEDS, 0.05, 1.0, hint="Simulated time over real time.")
        endless = gui.add_checkbox("No time limit", session.endless)
        follow = gui.add_checkbox("Follow", world.follow, hint="Keep the first robot in the middle of the page.")

        @buttons.on_click
        def _(event: Any) -> None:
            wanted = buttons.value

            def change() -> None:
                pace.paused = wanted != "Run"
                if wanted == "Step":
                    session.step()

            self._do(change)

        starts.on_click(lambda event: self._do(lambda: session.restart(session.seed if _is_same(starts) else None)))
        speed.on_update(lambda event: self._do(lambda: setattr(pace, "speed", float(speed.value))))
        endless.on_update(lambda event: self._do(lambda: setattr(session, "endless", bool(endless.value))))

        @follow.on_update
        def _(event: Any) -> None:
            def change() -> None:
                world.hold_camera()
                world.follow = bool(follow.value)

            self._do(change)

        if len(session.flights) > 1:
            apart = gui.add_slider("Apart [m]", 0.0, 10.0, 0.5, world.apart, hint="Distance between the flights.")
            apart.on_update(lambda event: self._do(lambda: setattr(world, "apart", float(apart.value))))
        if world.has_target:
            handle = gui.add_checkbox("Handle of the target", True, hint="Drag its arrows to move the target.")
            handle.on_update(lambda event: self._do(lambda: world.show_target_handle(bool(handle.value))))

    def _add_disturbances(self) -> None:
        gui, session = self._gui, self._session
        if session.can_push:
            direction = gui.add_dropdown("Push along", tuple(DIRECTIONS), initial_value="+x")
            strength = gui.add_slider("Push [m/s]", 0.1, STRONGEST_PUSH, 0.1, 2.0, hint="Change of the velocity.")
            button = gui.add_button("Push")

            @button.on_click
            def _(event: Any) -> None:
                velocity = float(strength.value) * np.array(DIRECTIONS[direction.value])
                self._do(lambda: self._push(velocity))

        if not session.can_disturb:
            return
        gui.add_divider()
        wind = gui.add_slider("Wind [m/s2]", 0.0, STRONGEST_WIND, 0.1, 0.0, hint="Constant acceleration of the body.")
        heading = gui.add_slider("Wind to [deg]", 0, 355, 5, 0, hint="0 is +x, 90 is +y.")
        mass = gui.add_slider("Mass factor", 0.5, 2.0, 0.05, 1.0)
        rotor = gui.add_dropdown(
            "Weak rotor",
            ("1 front right", "2 back right", "3 back left", "4 front left"),
            initial_value="1 front right",
        )
        thrust = gui.add_slider("Thrust factor", 0.3, 1.0, 0.02, 1.0)
        calm = gui.add_button("No disturbance")

        def blow(event: Any) -> None:
            angle, strength = math.radians(heading.value), float(wind.value)
            vector = (strength * math.cos(angle), strength * math.sin(angle), 0.0)
            self._do(lambda: session.set_wind(vector))

        def weaken(event: Any) -> None:
            chosen, factor = int(rotor.value[0]), float(thrust.value)

            def change() -> None:
                for each in range(1, 5):
                    session.set_rotor(each, factor if each == chosen else 1.0)

            self._do(change)

        wind.on_update(blow)
        heading.on_update(blow)
        mass.on_update(lambda event: self._do(lambda: session.set_mass(float(mass.value))))
        rotor.on_update(weaken)
        thrust.on_update(weaken)

        @calm.on_click
        def _(event: Any) -> None:
            wind.value, mass.value, thrust.value = 0.0, 1.0, 1.0  # type: ignore[misc]
            self._do(session.calm)

    def _push(self, velocity: np.ndarray) -> None:
        x, y, z = (float(v) for v in velocity)
        self._session.push((x, y, z))
        self._world.show_push(velocity)

    def _add_options(self, change_task: Callable[[dict[str, str]], None]) -> None:
        """An input for every option of the task, and a button that builds the task with them."""
        gui, simulator = self._gui, self._session.flights[0].simulator
        fields = [field for part in parts_of(simulator) for field in fields_of(type(part), part)]
        if not fields:
            gui.add_markdown("This task declares no options.")
            return
        button = gui.add_button("Apply", hint="Build the task with these options and begin again.")
        inputs = {field.name: _add_input(gui, field) for field in fields}

        @button.on_click
        def _(event: Any) -> None:
            changed = changed_options(fields, {name: str(each.value) for name, each in inputs.items()})
            self._do(lambda: change_task({**self._session.task_options, **changed}))


def changed_options(fields: Sequence[Field], texts: Mapping[str, str]) -> dict[str, str]:
    """Options whose inputs show another value than the present one.

    Args:
        fields: The options, with their present values as defaults.
        texts: What the inputs show, by name.
    """
    return {
        field.name: text
        for field in fields
        if (text := texts[field.name]) not in (str(field.default), PRESENT)
        and not (field.kind is float and float(text) == field.default)
    }


def _is_same(starts: Any) -> bool:
    return bool(starts.value == "Same")


def _add_input(gui: viser.GuiApi, field: Field) -> Any:
    """An input with the present value of an option."""
    hint = field.text or None
    if field.choices:
        named = str(field.default) in field.choices  # a drone of the user's own has no name among them
        choices = field.choices if named else (PRESENT, *field.choices)
        return gui.add_dropdown(field.name, choices, initial_value=str(field.default) if named else PRESENT, hint=hint)
    if field.kind in (int, float):
        return gui.add_number(field.name, field.default, step=1 if field.kind is int else 0.01, hint=hint)
    return gui.add_text(field.name, str(field.default), hint=hint)
