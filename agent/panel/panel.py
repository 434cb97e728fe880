"""The on-air light and the privacy switch, on the board's pins by gpiozero.

The light leads the camera: `on_air(True)` before it opens, `on_air(False)` after it closed. `on_air(True)` raises where
the light does not come on, and a camera whose light is dark must stay closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Callable
from typing import Any

from agent.config import PanelConfig

logger = logging.getLogger(__name__)

QUIET_S = 0.05  # a switch bounces for a few milliseconds; open counts once its contact was quiet for so long


class PanelError(Exception):
    """A pin cannot be used or the light does not come on; the message says which pin and what to do."""


class Panel:
    """The pins of `config`, owned until `close`; made on the loop, where `on_privacy` is called too.

    `on_privacy` hears the switch's state once right after the start and then every change; True closes the camera.
    Without pins nothing is imported and nothing happens. Errors: PanelError.
    """

    def __init__(self, config: PanelConfig, on_privacy: Callable[[bool], None]) -> None:
        self._config = config
        self._on_privacy = on_privacy
        self._loop = asyncio.get_running_loop()
        self._light: Any = None
        self._switch: Any = None
        self._settling: asyncio.TimerHandle | None = None
        self._privacy = False
        self._closed = False
        try:
            if config.on_air_pin is not None:
                self._light = _device("LED", "panel.on_air_pin", config.on_air_pin)
            if config.privacy_pin is not None:
                self._switch = _device("Button", "panel.privacy_pin", config.privacy_pin)
                self._switch.when_pressed = self._switch.when_released = self._moved
                self._privacy = self._switch.is_pressed
                self._loop.call_soon(self._report_first)
        except BaseException:
            self.close()
            raise

    @property
    def privacy(self) -> bool:
        """Whether the switch keeps the camera closed; False without a switch. Ask before the camera opens."""
        return self._privacy

    def on_air(self, on: bool) -> None:
        """Drive the light. Errors: PanelError where it does not come on; going off never raises."""
        if self._config.on_air_pin is None or (self._closed and not on):
            return
        try:
            self._light.value = on
            shown = bool(self._light.value)  # reads the pin back: a short to ground shows here
        except Exception as error:
            if on:
                raise PanelError(f"{self._light_name}: {error}; the camera stays closed") from error
            logger.warning("%s could not be switched off: %s", self._light_name, error)
            return
        if on and not shown:
            raise PanelError(f"{self._light_name} stays dark, check its wiring; the camera stays closed")

    def close(self) -> None:
        """Release the pins; to come after the camera closed, harmless twice."""
        self._closed = True
        if self._settling is not None:
            self._settling.cancel()
        for device in (self._switch, self._light):
            if device is not None:
                device.close()

    @property
    def _light_name(self) -> str:
        return f"the on-air light (panel.on_air_pin = {self._config.on_air_pin})"

    def _moved(self) -> None:
        """On gpiozero's thread: an edge, to be judged on the loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
            self._loop.call_soon_threadsafe(self._judge)

    def _judge(self) -> None:
        """Closed counts at the first touch, open only when the contact is quiet: in doubt for privacy."""
        if self._closed:
            return
        if self._switch.is_pressed:
            self._report(True)
        if self._settling is not None:
            self._settling.cancel()
        self._settling = self._loop.call_later(QUIET_S, self._settle)

    def _settle(self) -> None:
        self._report(self._switch.is_pressed)

    def _report_first(self) -> None:
        if not self._closed:
            self._on_privacy(self._privacy)

    def _report(self, privacy: bool) -> None:
        if privacy != self._privacy:
            self._privacy = privacy
            self._on_privacy(privacy)


def _device(kind: str, setting: str, pin: int) -> Any:
    """A gpiozero LED or Button (to ground, with the board's pull-up) on BCM `pin`. Errors: PanelError."""
    with warnings.catch_warnings(record=True) as fallbacks:  # gpiozero says there why a GPIO library does not work
        warnings.simplefilter("always")
        try:
            import gpiozero

            return getattr(gpiozero, kind)(pin)
        except ImportError as error:  # gpiozero.BadPinFactory is one as well
            reason = str(fallbacks[0].message if fallbacks else error)
            raise PanelError(
                f"{setting} = {pin}: no GPIO library works here ({reason}); install lgpio (apt install "
                f"python3-lgpio, or pip install 'lgpio>=0.2.2'), or remove the pin from the configuration"
            ) from error
        except Exception as error:
            raise PanelError(
                f"{setting} = {pin}: the pin cannot be used ({error}); free it and put the user into the group "
                f"gpio, or remove the pin from the configuration"
            ) from error
