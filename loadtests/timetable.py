"""The times of a run's repetitions and stages. A shape fixes them, except in a search for the limit, where a repetition is a climb that may
end early, and the next one begins when the service has drained."""

from __future__ import annotations

from loadtests.shapes import Shape


class Timetable:
    """The repetitions of one run, in seconds since its start. Those of a search for the limit are ended and begun by `ClimbWatch`
    (loadtests/climb.py); those of any other shape follow each other at once."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        first, known = shape.warm_up_seconds, 1 if shape.each_stage else shape.repeat
        self._times = [
            (first + number * shape.pass_seconds, first + (number + 1) * shape.pass_seconds) for number in range(known)
        ]
        self._ended = False

    @property
    def ends_at(self) -> float:
        """The end of the run; infinite while a repetition is still to begin."""
        return float("inf") if self._more_to_begin() else self._times[-1][1]

    @property
    def planned_seconds(self) -> float:
        """The duration of the run, as far as it can be known: repetitions that have not begun count whole, and waits between them not at all."""
        return self._times[-1][1] + (self.shape.repeat - len(self._times)) * self.shape.pass_seconds

    def where(self, at_seconds: float) -> tuple[int, int | None]:
        """(number of the repetition, number of the stage); no stage in the warm-up, between two repetitions and after the end."""
        for number, (begin, end) in enumerate(self._times):
            if begin <= at_seconds < end:
                return number, self.shape.stage_at(at_seconds - begin)
        return 0, None

    def level(self, at_seconds: float) -> int | None:
        """Users, or requests a second: that of the first stage in the warm-up, 0 between two repetitions, None when the run is over."""
        if at_seconds >= self.ends_at:
            return None
        if at_seconds < self.shape.warm_up_seconds:
            return self.shape.stages[0].level
        return next((self.shape.level_at(at_seconds - begin) for begin, end in self._times if begin <= at_seconds < end), 0)

    def next_end(self, at_seconds: float) -> float | None:
        """When the running stage or warm-up ends; None between two repetitions and after the run."""
        if at_seconds < self.shape.warm_up_seconds:
            return self.shape.warm_up_seconds
        for begin, end in self._times:
            if begin <= at_seconds < end:
                return min(end, begin + self.shape.stage_end(at_seconds - begin))
        return None

    def waits(self, at_seconds: float) -> bool:
        """Whether a repetition is over, and the next one has not begun."""
        return self._more_to_begin() and at_seconds >= self._times[-1][1]

    def waits_since(self) -> float:
        """The end of the last repetition that has begun."""
        return self._times[-1][1]

    def end_repetition(self, at_seconds: float) -> None:
        """The repetition that is running ends now."""
        self._times[-1] = (self._times[-1][0], at_seconds)

    def begin_repetition(self, at_seconds: float) -> None:
        """The next repetition begins now."""
        self._times.append((at_seconds, at_seconds + self.shape.pass_seconds))

    def end_run(self, at_seconds: float) -> None:
        """The run ends now, whatever was still to come."""
        begin, end = self._times[-1]
        self._times[-1], self._ended = (begin, min(end, at_seconds)), True

    def _more_to_begin(self) -> bool:
        return len(self._times) < self.shape.repeat and not self._ended
