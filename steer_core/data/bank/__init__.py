"""The template bank: every template by number of solution steps."""

from steer_core.data.bank.four_five_steps import FIVE_STEPS, FOUR_STEPS
from steer_core.data.bank.one_step import ONE_STEP
from steer_core.data.bank.three_steps import THREE_STEPS
from steer_core.data.bank.two_steps import TWO_STEPS
from steer_core.data.templates import Template

BANK: tuple[Template, ...] = ONE_STEP + TWO_STEPS + THREE_STEPS + FOUR_STEPS + FIVE_STEPS
