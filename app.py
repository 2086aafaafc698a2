"""Start the page: `python app.py`, or push this repository to a Hugging Face Space.

`python app.py --help` prints the settings, which come from the environment.
"""

import sys

from steer_core.ui.serve import main

if __name__ == "__main__":
    sys.exit(main())
