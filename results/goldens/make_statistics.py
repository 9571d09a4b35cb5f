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
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

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


def crossed_cases():
    """Images answered under several seeds, both drawn: neither library has it, so NumPy spells it out."""
    own = np.random.default_rng(7)
    for images, seeds in [(40, 3), (80, 5)]:
        values = own.normal(0, 1, (images, 1)) + own.normal(0, 0.5, (1, seeds)) + own.normal(0, 1, (images, seeds))
        values = np.round(values, 3)
        image_counts = own.multinomial(images, np.full(images, 1 / images), 200_000)
        seed_counts = own.multinomial(seeds, np.full(seeds, 1 / seeds), 200_000)
        means = np.einsum("ri,is,rs->r", image_counts, values, seed_counts, optimize=True) / (images * seeds)
        low, high = np.quantile(means, [0.025, 0.975])
        yield {"values": values.tolist(), "low": float(low), "high": float(high)}


def student_cases():
    for degrees in [1, 2, 3, 4, 7, 10, 29, 30, 200]:
        for t in [-6.0, -1.5, 0.0, 0.3, 2.0, 12.0]:
            yield {"degrees": degrees, "t": t, "below": float(stats.t.cdf(t, degrees)),
                   "quantile": float(stats.t.ppf(0.95, degrees))}


def equivalence_cases():
    """Times measured in pairs: what drifts is in both."""
    own = np.random.default_rng(8)
    for rounds, ratio, noise in [(2, 1.0, 0.01), (5, 1.0, 0.02), (12, 1.02, 0.02), (12, 1.05, 0.02), (30, 1.04, 0.03),
                                 (31, 0.97, 0.02), (60, 1.2, 0.05), (20, 0.9, 0.02)]:
        baseline = 10 * np.exp(own.normal(0, 0.3, rounds))
        ratios = np.round(ratio * np.exp(own.normal(0, noise, rounds)), 4)
        p, _, _ = ttost_paired(baseline * ratios, baseline, 1 / 1.05, 1.05, transform=np.log)
        low, high = np.exp(DescrStatsW(np.log(ratios)).tconfint_mean(alpha=0.1))
        yield {"ratios": ratios.tolist(), "p": float(p), "low": float(low), "high": float(high)}


def power_cases():
    for samples, deviation in [(25, 0.5), (200, 0.3), (3_000, 1.0)]:
        effect = NormalIndPower(ddof=0).solve_power(nobs1=samples, alpha=0.05, power=0.8, ratio=0)
        yield {"samples": samples, "deviation": deviation, "difference": float(effect * deviation)}


print(json.dumps({
    "mcnemar": list(mcnemar_cases()),
    "holm": list(holm_cases()),
    "sign_flip": list(sign_flip_cases()),
    "bootstrap": list(bootstrap_cases()),
    "crossed": list(crossed_cases()),
    "student": list(student_cases()),
    "equivalence": list(equivalence_cases()),
    "power": list(power_cases()),
}, indent=None, separators=(",", ":")))
