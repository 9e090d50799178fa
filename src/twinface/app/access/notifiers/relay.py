"""A relay on a GPIO pin: on for some seconds after a grant, off at all other times."""

from __future__ import annotations

import atexit
import importlib
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from twinface.core.access.actions import Notice, RelayAction
from twinface.core.files import reason
from twinface.errors import ActionFailed

TRIES = 3
"""How often switching off is tried before the pin is given up, which leaves it an input."""


class RelayNotifier:
    """Switches a relay.

    A grant that comes while the relay is on neither lengthens nor repeats the pulse; a refusal ends it.

    Args:
        action: what the policy says.
        late: told when a pulse could not be ended, as nobody waits for it then.
        device: what makes the device; None: gpiozero's `OutputDevice`.

    Raises:
        ActionFailed: there is no gpiozero, no GPIO, or the pin is in use.
    """

    def __init__(
        self,
        action: RelayAction,
        late: Callable[[Notice, Exception], None],
        device: Callable[..., Any] | None = None,
    ) -> None:
        self._action = action
        self._late = late
        self._device = _claim(action, device or _output_device(action))
        self._change = threading.Condition()
        self._until: float | None = None
        self._notice: Notice | None = None
        self._broken = ""
        self._closed = False
        self._thread = threading.Thread(target=self._keep, name=f"twinface-{action.name}-off", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def notify(self, notice: Notice) -> None:
        """Switches it on for a grant, off for a refusal; does not wait for the pulse's end.

        Raises:
            ActionFailed: it cannot be switched, or could not be switched off before.
        """
        with self._change:
            if self._closed or self._broken or not self._thread.is_alive():
                raise self._failed(self._broken or "is switched by nobody any more")
            if not notice.granted:
                self._off()
            elif self._until is None:
                self._on(notice)

    def close(self) -> None:
        """Switches it off and lets go of the pin.

        Raises:
            ActionFailed: it cannot be switched off.
        """
        atexit.unregister(self.close)
        with self._change:
            if self._closed:
                return
            self._closed = True
            self._change.notify()
            try:
                if not self._broken:
                    self._off()
            finally:
                self._device.close()
        self._thread.join()

    def _on(self, notice: Notice) -> None:
        """Begins a pulse; its end is set before its beginning."""
        self._until = time.monotonic() + self._action.seconds
        self._notice = notice
        self._change.notify()
        try:
            self._device.on()
        except Exception as error:
            self._off()
            raise self._failed(f"cannot be switched on ({reason(error)})") from error

    def _off(self) -> None:
        """Ends the pulse, by giving the pin up if nothing else helps."""
        self._until = None
        for trial in range(TRIES):
            try:
                self._device.off()
            except Exception as error:
                if trial == TRIES - 1:
                    self._broken = f"could not be switched off ({reason(error)}); cut its power and look at it"
                    self._device.close()
                    raise self._failed(self._broken) from error
            else:
                return

    def _keep(self) -> None:
        """Ends pulses when it is time."""
        try:
            with self._change:
                while not self._closed:
                    left = None if self._until is None else self._until - time.monotonic()
                    if left is None or left > 0:
                        self._change.wait(left)
                    else:
                        self._off()
        except ActionFailed as error:
            assert self._notice is not None
            self._late(self._notice, error)

    def _failed(self, why: str) -> ActionFailed:
        return ActionFailed(f"{self._action.name}: the relay at pin {self._action.pin} {why}")


def _output_device(action: RelayAction) -> Callable[..., Any]:
    try:
        gpiozero = importlib.import_module("gpiozero")
    except ImportError:
        raise ActionFailed(
            f"{action.name}: a relay needs a machine with GPIO pins, and gpiozero; install it with: "
            "pip install gpiozero lgpio"
        ) from None
    made: Callable[..., Any] = gpiozero.OutputDevice
    return made


def _claim(action: RelayAction, device: Callable[..., Any]) -> Any:
    """The pin as an output that is off."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one for each library that gpiozero looks for in vain
            return device(action.pin, active_high=action.active_high, initial_value=False)
    except Exception as error:
        raise ActionFailed(
            f"{action.name}: pin {action.pin} cannot be used ({reason(error)}); this needs a machine with GPIO pins, "
            "and nobody else using this one"
        ) from error
