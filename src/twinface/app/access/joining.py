"""Joins what access control needs: gallery, models, policy, log, actions, clocks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from twinface.app import wiring
from twinface.app.access.acting import Actor
from twinface.app.access.clocks import SystemClocks
from twinface.app.access.integrity import Integrity
from twinface.app.access.notifiers import Secrets
from twinface.app.gallery import Gallery
from twinface.app.video.index import thumbnail
from twinface.core.access.actions import Notice
from twinface.core.access.policy import Policy
from twinface.core.audit import AuditDraft
from twinface.core.liveness.challenge import Challenge
from twinface.core.types import DOUBTFUL
from twinface.core.video import VideoFrame
from twinface.errors import TwinFaceError
from twinface.services.access_control import AccessController, Clocks
from twinface.services.access_seeing import Seeing, Span
from twinface.vision.liveness.limits import LIMITS
from twinface.vision.liveness.passive import PassiveWatch

WHOLE: Span = (0.0, 0.0, 1.0, 1.0)
"""Everywhere in the picture."""


@dataclass(frozen=True, eq=False)
class Gate:
    """Access control, ready to be driven.

    Attributes:
        controller: decides.
        actor: carries actions out.
        sees: whether anybody stands before the camera.
        model: digest of the models, for the log.
    """

    controller: AccessController
    actor: Actor
    sees: Callable[[VideoFrame], bool]
    model: str


def open_gate(
    policy: Policy,
    gallery: Gallery,
    *,
    dry_run: bool,
    secrets: Secrets,
    out: TextIO,
    trouble: Callable[[str], None],
    zone: Span = WHOLE,
    detector: str | None = None,
    clocks: Clocks | None = None,
    trust_clock: bool = False,
) -> Gate:
    """Joins the parts.

    Args:
        policy: in force at first.
        gallery: holds the people and the log.
        dry_run: whether actions only say what they would do.
        secrets: looks up environment variables.
        out: for lights and bells.
        trouble: hears what went wrong, in words.
        zone: where people stand, see `Seeing`.
        detector: as the gallery was opened with.
        clocks: the time; None for this machine's.
        trust_clock: see `AccessController`.

    Raises:
        ModelError: the models cannot be loaded.
        ActionFailed: an action lacks something.
    """
    recognizer, store = gallery.recognizer, gallery.store
    seeing = Seeing(
        analyzer=recognizer.analyzer,
        rule=recognizer.rule,
        store=store,
        passive=PassiveWatch,
        challenge=lambda: Challenge.random(random.SystemRandom()),
        passive_seconds=LIMITS.seconds,
        zone=zone,
        thumbnail=thumbnail,
    )
    model = recognizer.analyzer.identity

    def failed(notice: Notice, _: str, error: Exception) -> None:
        words = str(error) if isinstance(error, TwinFaceError) else f"{type(error).__name__}: {error}"
        trouble(words)
        try:
            store.audit.append(
                AuditDraft(
                    at=datetime.now(UTC),
                    kind="action",
                    request=notice.id,
                    place=notice.place,
                    reason="actuator_failed",
                    model=model,
                    detail=words,
                )
            )
        except TwinFaceError as second:
            trouble(str(second))

    actor = Actor(policy, failed, dry_run=dry_run, secrets=secrets, out=out)
    integrity = Integrity(wiring.weight_files(store.space().model, detector))
    controller = AccessController(
        policy,
        seeing,
        store.audit,
        actor,
        clocks or SystemClocks(),
        integrity=integrity.check,
        model=model,
        trust_clock=trust_clock,
    )

    def sees(frame: VideoFrame) -> bool:
        faces = recognizer.analyzer.detector.detect(frame.image)
        best = max((face.score for face in faces), default=0.0)
        return any(face.score >= DOUBTFUL * best for face in faces)

    return Gate(controller, actor, sees, model)
