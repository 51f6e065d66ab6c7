"""Goodput: questions a second that were answered within every limit, with a confidence interval over repetitions. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from loadtests.measured import Interval, MeasuredWindow, covered_seconds, generator_health

# Student's t for 95 %, two-sided, by degrees of freedom 1 to 10 (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2; checked by a test).
T_95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
T_NORMAL: Final = 2.228  # used beyond ten degrees of freedom: the interval is a little too wide, never too narrow


def goodput(passes: Sequence[Sequence[MeasuredWindow]]) -> Interval | None:
    """The goodput of one stage, from its windows by repetition; None without measurements."""
    rates = [generator_health(parts).good / seconds for parts in passes if (seconds := covered_seconds(parts)) > 0]
    return interval(rates) if rates else None


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % confidence interval of the mean."""
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return Interval(mean=mean, low=None, high=None, repetitions=count)
    t = T_95[count - 2] if count - 2 < len(T_95) else T_NORMAL
    half = t * statistics.stdev(values) / math.sqrt(count)
    return Interval(mean=mean, low=max(0.0, mean - half), high=mean + half, repetitions=count)
