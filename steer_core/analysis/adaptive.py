"""Does a strength of one's own help each problem? α by the gold margin, and α that is predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from steer_core.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
PENALTIES = tuple(10.0**power for power in range(-1, 6))
FEWEST = 10


@dataclass(frozen=True, slots=True)
class AdaptiveAlpha:
    """Shares of held-out problems answered right, 0..1, by how α is chosen.

    `fixed`: at one α for all, `fixed_alpha`, the best of the fit problems; `predicted`: at the α
    that a ridge regression on states, fitted on the fit problems, predicts for each; `unedited`: at
    0. `by_gold`: at the α with the largest margin of the gold answer; it uses the gold answer, so
    it is a ceiling and no result. `gained` and `lost`: problems that are right at the predicted α
    alone, at the fixed α alone; `p` of them, exact McNemar. `r2` of the prediction held out, at
    most 1. `n` held-out and `n_fit` fit problems.
    """

    n: int
    n_fit: int
    unedited: float
    fixed_alpha: float
    fixed: float
    predicted: float
    by_gold: float
    gained: int
    lost: int
    p: float
    r2: float

    @property
    def words(self) -> str:
        """The result for a reader."""
        return (
            f"held out on {self.n} problems: unedited {self.unedited:.1%}, one α "
            f"({self.fixed_alpha:g}) {self.fixed:.1%}, α predicted from states "
            f"{self.predicted:.1%} ({self.gained} gained, {self.lost} lost, p {self.p:.2g}); "
            f"with the gold answer known {self.by_gold:.1%}, a ceiling"
        )


def adaptive_alpha(
    alphas: Floats, margin: Floats, correct: Bools, states: Floats, held_out: Bools
) -> AdaptiveAlpha:
    """Compare ways to choose α.

    Args:
        alphas: [A], 0 among them.
        margin: float [n, A], the gold answer's margin of each problem at each α.
        correct: bool [n, A].
        states: float [n, F], what α is predicted from.
        held_out: bool [n]; the others are fitted on.

    Raises:
        UserError: for fewer than 10 problems on either side.
    """
    if min(held_out.sum(), (~held_out).sum()) < FEWEST:
        raise UserError(
            f"{(~held_out).sum()} problems to fit on and {held_out.sum()} to score are too few; "
            f"give at least {FEWEST} of each"
        )
    fit, order = ~held_out, np.argsort(np.abs(alphas), kind="stable")
    best = order[margin[:, order].argmax(1)]  # of equal margins the smallest edit
    fixed = order[correct[fit][:, order].sum(0).argmax()]
    model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(states[fit], alphas[best[fit]])
    said = model.predict(states[held_out])
    nearest = np.abs(said[:, None] - alphas).argmin(1)
    right = correct[held_out]
    rows = np.arange(len(right))
    predicted, one = right[rows, nearest], right[:, fixed]
    gained, lost = int((predicted & ~one).sum()), int((one & ~predicted).sum())
    wanted = alphas[best[held_out]]
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    return AdaptiveAlpha(
        n=len(right),
        n_fit=int(fit.sum()),
        unedited=float(right[:, int(np.abs(alphas).argmin())].mean()),
        fixed_alpha=float(alphas[fixed]),
        fixed=float(one.mean()),
        predicted=float(predicted.mean()),
        by_gold=float(right[rows, best[held_out]].mean()),
        gained=gained,
        lost=lost,
        p=float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
        r2=1 - float(((wanted - said) ** 2).sum()) / spread if spread else 0.0,
    )
