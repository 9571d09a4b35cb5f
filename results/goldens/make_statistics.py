"""Makes statistics.json: what SciPy and statsmodels say, for results/src/statistics/tests.rs.

    python -m venv venv && venv/bin/pip install scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python make_statistics.py > statistics.json

Bootstrap intervals are random there and here; 200,000 resamples on both sides bring each end within about
one per cent of the interval's width, which is the tolerance of the test.
"""

import json

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

random = np.random.default_rng(6)


def mcnemar_cases():
    for gained, lost in [(0, 0), (1, 0), (5, 5), (3, 9), (9, 3), (0, 12), (40, 71), (250, 251), (1200, 1350), (12, 400)]:
        p = float(mcnemar([[10, gained], [lost, 10]], exact=True).pvalue)
        if gained + lost:
            binomial = stats.binomtest(min(gained, lost), gained + lost).pvalue
            assert np.isclose(p, binomial, rtol=1e-9), (gained, lost, p, binomial)
        yield {"gained": gained, "lost": lost, "p": min(p, 1.0)}


def holm_cases():
    for p in [[0.01], [0.04, 0.01, 0.03], [0.5, 0.2, 0.9, 0.001], [0.02, 0.02, 0.02], list(random.uniform(size=9) ** 3)]:
        yield {"p": [float(x) for x in p], "corrected": [float(x) for x in multipletests(p, method="holm")[1]]}


def sign_flip_cases():
    for size in [4, 8, 11, 13]:
        for shift in [0.0, 0.4]:
            differences = np.round(random.normal(shift, 1.0, size), 3)
            result = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
            yield {"differences": differences.tolist(), "p": float(result.pvalue), "exact": True}
    for size, shift in [(60, 0.25), (300, 0.1), (300, 0.0)]:
        differences = np.round(random.normal(shift, 1.0, size), 3)
        result = stats.permutation_test(
            (differences,), lambda x, axis: np.sum(x, axis=axis), permutation_type="samples",
            n_resamples=200_000, batch=2_000, vectorized=True, rng=1)
        yield {"differences": differences.tolist(), "p": float(result.pvalue), "exact": False}


def bootstrap_cases():
    """Clustered: SciPy draws clusters, the statistic is the ratio of sums to counts."""
    for clusters, largest, kind in [(40, 1, "binary"), (60, 5, "binary"), (60, 5, "graded"), (25, 9, "graded")]:
        sizes = random.integers(1, largest + 1, clusters)
        labels = np.repeat(np.arange(clusters), sizes)
        ease = np.repeat(random.uniform(0, 1, clusters), sizes)
        draw = lambda gain: (
            (random.uniform(size=labels.size) < np.clip(ease + gain, 0, 1)).astype(float) if kind == "binary"
            else np.round(np.clip(ease + gain + random.normal(0, 0.2, labels.size), 0, 1), 3))
        baseline, values = draw(0.0), draw(0.08)
        case = {"clusters": labels.tolist(), "values": values.tolist(), "baseline": baseline.tolist()}
        for name, x in [("mean", values), ("difference", values - baseline)]:
            sums = np.bincount(labels, weights=x)
            ratio = lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis)
            low, high = stats.bootstrap(
                (sums, sizes.astype(float)), ratio, paired=True, vectorized=True, method="percentile",
                n_resamples=200_000, batch=5_000, rng=2).confidence_interval
            case[name] = {"low": float(low), "high": float(high)}
        yield case


print(json.dumps({
    "mcnemar": list(mcnemar_cases()),
    "holm": list(holm_cases()),
    "sign_flip": list(sign_flip_cases()),
    "bootstrap": list(bootstrap_cases()),
}, indent=None, separators=(",", ":")))
