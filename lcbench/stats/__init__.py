"""Statistics. Each has one home, with its source; shares of 1 unless said otherwise, and b - a for differences."""

from lcbench.stats.cells import holm, pooled
from lcbench.stats.differences import Comparison, paired, unpaired
from lcbench.stats.intervals import Interval, jackknife, jackknife_error, mean_interval, mean_of_means, wilson
from lcbench.stats.lengths import THRESHOLD, EffectiveLength, effective_length, weighted_averages
from lcbench.stats.points import Z95, student_t
from lcbench.stats.power import detectable, samples_for
from lcbench.stats.sequence import confidence_sequence, hoeffding

__all__ = [
    "THRESHOLD",
    "Z95",
    "Comparison",
    "EffectiveLength",
    "Interval",
    "confidence_sequence",
    "detectable",
    "effective_length",
    "hoeffding",
    "holm",
    "jackknife",
    "jackknife_error",
    "mean_interval",
    "mean_of_means",
    "paired",
    "pooled",
    "samples_for",
    "student_t",
    "unpaired",
    "weighted_averages",
    "wilson",
]
