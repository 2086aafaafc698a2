"""What `pytest -m quick` runs."""

QUICK = frozenset(
    """
    test_architecture test_body test_cli_texts test_clusters test_data_answers test_decode_edits
    test_edit_plan test_exchange test_experiment_settings test_floor test_inspect test_largest_logit
    test_lazy test_ledger test_operations test_outcomes test_quick test_report_figures test_shelf
    test_stability test_statistics test_stored_run test_strip test_sweep_table test_training_losses
    """.split()
)
"""Files of `pytest -m quick`: together every package, for a change that is still in the making."""
