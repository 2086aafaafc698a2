"""A plan of edits in its two forms: what is done place by place, and a table that is only data."""

import pytest
import torch
from tiny_checkpoints import HIDDEN

from steer_core import Edit
from steer_core.steering.plan import EditPlan

K = 6


def mixed_rows() -> list[tuple[Edit, ...]]:
    """No edit, one, several in order, one that is shared; all sites, a schedule, position 0."""
    a, b = (torch.randn(K + 1, HIDDEN, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    both = (Edit(a, 0.5, "residual", 2, (0, 1, 3)), Edit(b, -2.0, "residual", 2, (1, 2)))
    schedule = Edit(b, tuple(0.5 * k - 1 for k in range(K + 1)), "thought", None, (1, 2, 4))
    return [(), both, (schedule,), both, (Edit(a, 3.0, "embedding", None, (0, 1, K)),), both[:1]]


@pytest.mark.parametrize("site", ["residual", "thought", "embedding"])
def test_a_table_changes_states_as_the_plan_does(site: str):
    plan = EditPlan(mixed_rows(), torch.device("cpu"))
    table, x = plan.as_data(), torch.randn(6, HIDDEN)
    changed = 0
    for layer in (2, 3) if site == "residual" else (0,):
        for position in range(K + 1):
            wanted = plan.apply(site, layer, position, x)
            torch.testing.assert_close(table.apply(site, layer, position, x), wanted)
            changed += int((wanted != x).any(1).sum())
    assert changed == {"residual": 2 * 4 + 3, "thought": 2, "embedding": 2}[site]


def test_a_plan_makes_only_what_is_asked_for():
    """A recorded batch reads the table alone: tensors for the other way would be uploaded too."""
    plan = EditPlan(mixed_rows(), torch.device("cpu"))
    table = plan.as_data()
    assert "actions" not in vars(plan)
    assert table.bank is plan.actions["residual", 2, 1][0].bank
