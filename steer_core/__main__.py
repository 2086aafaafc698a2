"""`python -m steer_core`."""

import sys

from steer_core.cli import main

sys.exit(main())
