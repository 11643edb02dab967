"""The backdoor adjustment, computed.

In the paper's causal model (arXiv 2605.01324) a query Q reaches the answer A through true reasoning
T (Q -> T -> A, wanted) and through the surface observation O (Q -> O -> A, the shortcut). The
adjustment

    P(A | do(T = t), Q = q) = sum over o of P(A | T = t, O = o, Q = q) P(O = o | Q = q)

is an intractable integral for free video, and a finite sum wherever O is finite. It is compared
with the plain P(A | T = t, Q = q) = sum over o of P(A | t, o, q) P(o | t, q): they differ exactly
where T and O go together in the data *and* the answer follows O.

Assumed: (Q, O) blocks every backdoor path from T to A. Positivity is checked, not assumed: a cell
(t, o, q) without a single unit although P(o | q) > 0 is named, its weight is reported, and the
adjusted value is then bounded by letting that cell be 0 or 1 (Manski's worst case).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from videothinker.estimates import share

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """One observation: where A was 1 or 0 under (T, O, Q), and which units depend on each other."""

    query: str
    treatment: str
    observation: str
    outcome: bool
    cluster: str


@dataclass(frozen=True)
class Stratum:
    """One (t, o, q)."""

    treatment: str
    observation: str
    n: int
    rate: float | None
    """P(A = 1 | t, o, q); None where n is 0."""
    weight: float
    """P(o | q)."""


@dataclass(frozen=True)
class Resampled:
    """A number with its 95 % interval over resampled clusters."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Adjustment:
    """One treatment of one query: the plain conditional beside the adjusted sum."""

    query: str
    treatment: str
    n: int
    conditional: Resampled
    """P(A = 1 | T, Q)."""
    adjusted: Resampled
    """P(A = 1 | do(T), Q); over the supported observations where some have no support."""
    confounding: Resampled
    """conditional - adjusted: what the shortcut adds."""
    support: float
    """Share of P(o | q) that has units under this treatment; 1 where positivity holds."""
    bounds: tuple[float, float]
    """The adjusted value if every unsupported cell were 0, and if it were 1."""
    cells: tuple[Stratum, ...]

    @property
    def unsupported(self) -> tuple[Stratum, ...]:
        """Cells where positivity fails."""
        return tuple(cell for cell in self.cells if cell.n == 0)


@dataclass(frozen=True)
class Contrast:
    """adjusted(t1) - adjusted(t0) within a query: the causal effect of the treatment."""

    query: str
    treatments: tuple[str, str]
    effect: Resampled


def _count(units: Sequence[Unit], treatments: list[str], observations: list[str]) -> Floats:
    """Counts a cluster, `[cluster, treatment, observation, (units, outcomes)]`."""
    clusters = {name: i for i, name in enumerate(dict.fromkeys(u.cluster for u in units))}
    t_index = {name: i for i, name in enumerate(treatments)}
    o_index = {name: i for i, name in enumerate(observations)}
    counts_CTO2 = np.zeros((len(clusters), len(treatments), len(observations), 2))
    for unit in units:
        at = clusters[unit.cluster], t_index[unit.treatment], o_index[unit.observation]
        counts_CTO2[at] += (1.0, float(unit.outcome))
    return counts_CTO2


def conditional(counts_BTO2: Floats) -> Floats:
    """P(A = 1 | t), `[B, T]`; nan where a treatment has no unit."""
    n_BT, ones_BT = counts_BTO2[..., 0].sum(-1), counts_BTO2[..., 1].sum(-1)
    return np.divide(ones_BT, n_BT, out=np.full_like(n_BT, np.nan), where=n_BT > 0)


def adjusted(counts_BTO2: Floats) -> tuple[Floats, Floats]:
    """Sum over o of P(A = 1 | t, o) P(o), and the share of P(o) it covers, each `[B, T]`.

    The sum runs over the observations with units under t and is divided by the weight it covers.
    """
    n_BTO, ones_BTO = counts_BTO2[..., 0], counts_BTO2[..., 1]
    n_BO = n_BTO.sum(1)
    weight_B1O = (n_BO / n_BO.sum(-1, keepdims=True))[:, None]
    rate_BTO = np.divide(ones_BTO, n_BTO, out=np.zeros_like(n_BTO), where=n_BTO > 0)
    covered_BT = (weight_B1O * (n_BTO > 0)).sum(-1)
    sum_BT = (weight_B1O * rate_BTO).sum(-1)
    out = np.full_like(sum_BT, np.nan)
    return np.divide(sum_BT, covered_BT, out=out, where=covered_BT > 0), covered_BT


def _resample(counts_CTO2: Floats, draws: int, rng: np.random.Generator) -> Floats:
    clusters = counts_CTO2.shape[0]
    times_BC = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)
    flat = times_BC.astype(np.float64) @ counts_CTO2.reshape(clusters, -1)
    return flat.reshape(draws, *counts_CTO2.shape[1:])


def _estimate(value: float, draws_B: Floats) -> Resampled:
    known = draws_B[~np.isnan(draws_B)]
    if known.size == 0:
        return Resampled(value, -np.inf, np.inf)
    low, high = np.quantile(known, (0.025, 0.975))
    return Resampled(value, float(low), float(high))


def _probability(value: float, draws_B: Floats, clusters: int) -> Resampled:
    """As `_estimate`; where nothing varies, resampling is blind and Wilson's interval stands in."""
    found = _estimate(value, draws_B)
    if value in (0.0, 1.0):
        wilson = share(round(value * clusters), clusters)
        return Resampled(value, min(found.low, wilson.low), max(found.high, wilson.high))
    return found


def _within(
    query: str, units: Sequence[Unit], draws: int, rng: np.random.Generator
) -> tuple[list[Adjustment], list[Contrast]]:
    treatments = sorted({unit.treatment for unit in units})
    observations = sorted({unit.observation for unit in units})
    counts_CTO2 = _count(units, treatments, observations)
    total_1TO2 = counts_CTO2.sum(0, keepdims=True)
    drawn_BTO2 = _resample(counts_CTO2, draws, rng)
    plain_T, plain_BT = conditional(total_1TO2)[0], conditional(drawn_BTO2)
    (causal_1T, covered_1T), (causal_BT, _) = adjusted(total_1TO2), adjusted(drawn_BTO2)
    causal_T, covered_T = causal_1T[0], covered_1T[0]
    n_TO, ones_TO = total_1TO2[0, ..., 0], total_1TO2[0, ..., 1]
    weight_O = n_TO.sum(0) / n_TO.sum()
    table: list[Adjustment] = []
    for t, treatment in enumerate(treatments):
        members = int((counts_CTO2[:, t, :, 0].sum(-1) > 0).sum())
        plain, causal = float(plain_T[t]), float(causal_T[t])
        known, rest = causal * float(covered_T[t]), 1 - float(covered_T[t])
        cells = tuple(
            Stratum(
                treatment,
                observation,
                int(n_TO[t, o]),
                float(ones_TO[t, o] / n_TO[t, o]) if n_TO[t, o] else None,
                float(weight_O[o]),
            )
            for o, observation in enumerate(observations)
        )
        table.append(
            Adjustment(
                query=query,
                treatment=treatment,
                n=int(n_TO[t].sum()),
                conditional=_probability(plain, plain_BT[:, t], members),
                adjusted=_probability(causal, causal_BT[:, t], members),
                confounding=_estimate(plain - causal, plain_BT[:, t] - causal_BT[:, t]),
                support=float(covered_T[t]),
                bounds=(known, known + rest),
                cells=cells,
            )
        )
    contrasts = [
        Contrast(
            query,
            (treatments[a], treatments[b]),
            _estimate(float(causal_T[b] - causal_T[a]), causal_BT[:, b] - causal_BT[:, a]),
        )
        for a in range(len(treatments))
        for b in range(a + 1, len(treatments))
    ]
    return table, contrasts


def adjust(
    units: Sequence[Unit], rng: np.random.Generator, *, draws: int = 1000
) -> tuple[list[Adjustment], list[Contrast]]:
    """P(A | T, Q) and P(A | do(T), Q) for every treatment of every query, with 95 % intervals.

    Args:
        units: the observations; units of one cluster (one video) are resampled together.
        rng: draws the bootstrap samples.
        draws: bootstrap samples.

    Returns:
        One `Adjustment` per (query, treatment), and within each query one `Contrast` per pair of
        treatments.

    Raises:
        ValueError: there are no units.
    """
    if not units:
        raise ValueError("no units: an effect over nothing is not a number")
    table: list[Adjustment] = []
    contrasts: list[Contrast] = []
    by_query: dict[str, list[Unit]] = {}
    for unit in units:
        by_query.setdefault(unit.query, []).append(unit)
    for query in sorted(by_query):
        found, effects = _within(query, by_query[query], draws, rng)
        table += found
        contrasts += effects
    return table, contrasts
