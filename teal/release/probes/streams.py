"""A streamed answer ends with `done`."""

from __future__ import annotations

from typing import Final

from teal.release.probes.visit import Probe, ProbeVisit, WrongBehaviour, ask_streamed


def ask(visit: ProbeVisit) -> None:
    for question in visit.questions:
        names = [name for name, _ in ask_streamed(visit.writer, question)]
        if not names or names[-1] != "done":
            raise WrongBehaviour(f"a stream ended with {names[-1] if names else 'nothing'}, not with done ({question!r})")


STREAMS: Final = Probe("streams", "a streamed answer ends with done", ask)
