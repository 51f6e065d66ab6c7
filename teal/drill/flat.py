"""Whether the memory and the open descriptors of a part stay flat over a soak. Pure functions.

Faults restart processes, so a part has many generations, each one process from its start to its end. Two slopes are taken, both by the
method of Theil and Sen: the median of the slopes between pairs of measurements, which a few outliers and steps do not move.

- Within generations: only pairs of the same process, after it has settled. This finds a process that grows. It counts only when
  the process that was measured for longest would have grown by more than the noise.
- Across generations: each generation's level at the same age, against the moment at which it started. This finds what a new process
  takes over from the data that earlier ones left. It counts only when it is no accident (Mann and Kendall's test, one-sided at 5 %).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, groupby
from math import sqrt
from statistics import median
from typing import Any, Final, Literal

WARM_SECONDS: Final = 60.0  # a Python process has imported everything, and the caches of a soak's stack are full
SETTLED_SECONDS: Final = (
    180.0  # an app process grew by 2 MB from its second to its fifth minute, and ever more slowly (measured at a load of 15)
)
APART_SECONDS: Final = 30.0  # closer pairs measure noise: a garbage collection, an answer under way
LEVEL_SECONDS: Final = 60.0  # after WARM_SECONDS: the measurements whose median is a generation's level
LEAST_PAIRS: Final = 30  # a process that was measured for two minutes gives 45
LEAST_GENERATIONS: Final = 5  # with fewer no order of them is rarer than 5 % by accident
ACCIDENT_Z: Final = 1.645  # one-sided 5 % of the normal distribution
# A pod of prod has 2,048 MiB and its process uses about 200: growing by this it lasts three days and more, between which alerts fire.
MEMORY_MB_PER_HOUR: Final = 24.0
DESCRIPTORS_PER_HOUR: Final = 12.0  # `ulimit -n` is 1,024 at least: two days and more
Quantity = Literal["memory", "descriptors"]
UNITS: Final[dict[Quantity, str]] = {"memory": "MB", "descriptors": "descriptors"}
# Memory comes from the system in arenas of 1 MB, and a request under way holds three descriptors: less than this is no growth.
NOISE: Final[dict[Quantity, float]] = {"memory": 3.0, "descriptors": 3.0}
LIMITS: Final[dict[Quantity, float]] = {"memory": MEMORY_MB_PER_HOUR, "descriptors": DESCRIPTORS_PER_HOUR}
Point = tuple[float, float]  # seconds, value


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one process. `at`, `started`: Unix seconds. `memory_mb`: its unique set size,
    the memory that would be free if it ended."""

    at: float
    part: str
    pid: int
    started: float
    memory_mb: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class Growth:
    """How one quantity of one part grew. Slopes are in units an hour, None when there was too little to take them from."""

    part: str
    quantity: Quantity
    generations: int
    level: float  # the median of all measurements
    most: float
    within_per_hour: float | None
    within_seconds: float  # the longest time that one settled process was measured
    across_per_hour: float | None
    across_is_accident: bool
    alive_at_end: bool  # whether the last measurement found the part

    @property
    def limit_per_hour(self) -> float:
        return LIMITS[self.quantity]

    @property
    def judged(self) -> bool:
        """Whether the part's own growth could be measured, or it was only there for a while, as a command is."""
        return self.within_per_hour is not None or not self.alive_at_end

    @property
    def within_is_noise(self) -> bool:
        return self.within_per_hour is None or self.within_per_hour / 3600 * self.within_seconds <= NOISE[self.quantity]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why this is not flat; empty when it is."""
        said = []
        unit = UNITS[self.quantity]
        if self.within_per_hour is not None and self.within_per_hour > self.limit_per_hour and not self.within_is_noise:
            said.append(
                f"{self.part}: {self.quantity} of a process grows by {self.within_per_hour:.1f} {unit} an hour, limit {self.limit_per_hour:g}"
            )
        if self.across_per_hour is not None and self.across_per_hour > self.limit_per_hour and not self.across_is_accident:
            said.append(
                f"{self.part}: {self.quantity} of each new process is higher, by {self.across_per_hour:.1f} {unit} an hour, limit {self.limit_per_hour:g}"
            )
        return tuple(said)

    def fields(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"limit_per_hour": self.limit_per_hour, "flat": not self.reasons, "judged": self.judged}


def pair_slopes(points: Sequence[Point], apart_seconds: float) -> list[float]:
    """The slope a second between each two points that are at least that far apart."""
    return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(sorted(points), 2) if b[0] - a[0] >= apart_seconds > 0]


def slope_within(generations: Iterable[Sequence[Point]]) -> float | None:
    """The median slope a second over the pairs of each generation; None with fewer than LEAST_PAIRS."""
    slopes = [slope for points in generations for slope in pair_slopes(points, APART_SECONDS)]
    return median(slopes) if len(slopes) >= LEAST_PAIRS else None


def slope_across(levels: Sequence[Point]) -> tuple[float | None, bool]:
    """The median slope a second between the generations' levels, and whether that they rise may be an accident.
    None with fewer than LEAST_GENERATIONS."""
    slopes = pair_slopes(levels, 1.0)
    if len(levels) < LEAST_GENERATIONS or not slopes:
        return None, True
    return median(slopes), rising_z(levels) <= ACCIDENT_Z


def rising_z(points: Sequence[Point]) -> float:
    """Mann and Kendall's test: how many standard deviations the number of rising pairs is above that of a series without a trend."""
    values = [value for _, value in sorted(points)]
    rising = sum((b > a) - (b < a) for a, b in combinations(values, 2))
    count = len(values)
    return (rising - 1) / sqrt(count * (count - 1) * (2 * count + 5) / 18) if rising > 0 else 0.0


def growths(samples: Sequence[Sample]) -> tuple[Growth, ...]:
    """Memory and descriptors of every part that was measured after a warm-up. Parts of both colors are one part."""
    found = []
    last_at = max((one.at for one in samples), default=0.0)
    ordered = sorted(samples, key=lambda one: (_role(one.part), one.started, one.pid, one.at))
    for part, of_part in groupby(ordered, key=lambda one: _role(one.part)):
        lives = [list(life) for _, life in groupby(of_part, key=lambda one: (one.started, one.pid))]
        warm = [[one for one in life if one.at - one.started >= WARM_SECONDS] for life in lives]
        warm = [life for life in warm if life]
        if warm:
            alive = last_at - max(life[-1].at for life in lives) < APART_SECONDS
            found += [_growth(part, "memory", warm, alive), _growth(part, "descriptors", warm, alive)]
    return tuple(found)


def _growth(part: str, quantity: Quantity, warm: Sequence[Sequence[Sample]], alive_at_end: bool) -> Growth:
    def value(one: Sample) -> float:
        return one.memory_mb if quantity == "memory" else float(one.descriptors)

    values = [value(one) for life in warm for one in life]
    settled = [[(one.at, value(one)) for one in life if one.at - one.started >= SETTLED_SECONDS] for life in warm]
    within, measured_seconds = slope_within(settled), max((life[-1][0] - life[0][0] for life in settled if life), default=0.0)
    levels = [(life[0].started, median(value(one) for one in life if one.at - one.started <= WARM_SECONDS + LEVEL_SECONDS))
              for life in warm if life[0].at - life[0].started <= WARM_SECONDS + LEVEL_SECONDS]  # fmt: skip
    across, accident = slope_across(levels)
    return Growth(part, quantity, len(warm), median(values), max(values), _hourly(within), measured_seconds, _hourly(across), accident,
                  alive_at_end)  # fmt: skip


def _hourly(a_second: float | None) -> float | None:
    return None if a_second is None else a_second * 3600


def _role(part: str) -> str:
    """The part without its color: `blue-app-0` and `green-app-0` do the same."""
    color, _, rest = part.partition("-")
    return rest if color in ("blue", "green") else part
