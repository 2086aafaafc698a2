"""CPU threads that wait passively. Import this module before torch is imported anywhere.

A pool of spinning threads beside one other busy process makes small decodes many times slower: each
matrix product then waits for a thread that has lost its core. OpenMP reads these settings once,
when it is loaded.
"""

import os

for name, value in (
    ("OMP_WAIT_POLICY", "PASSIVE"),
    ("GOMP_SPINCOUNT", "0"),
    ("KMP_BLOCKTIME", "0"),
):
    os.environ.setdefault(name, value)
