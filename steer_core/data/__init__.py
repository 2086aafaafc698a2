"""Word problems: templates, generated pairs, pair files and their audit."""

from steer_core.data.answers import extract_answer
from steer_core.data.audit import AuditReport, audit_file
from steer_core.data.augment import vary_words
from steer_core.data.generate import generate_pairs, generate_problems, generate_twins
from steer_core.data.pairs import load_pairs, shipped_keys
from steer_core.data.problems import Pair, Problem, question_key

__all__ = [
    "AuditReport",
    "Pair",
    "Problem",
    "audit_file",
    "extract_answer",
    "generate_pairs",
    "generate_problems",
    "generate_twins",
    "load_pairs",
    "question_key",
    "shipped_keys",
    "vary_words",
]
