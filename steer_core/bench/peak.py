"""Peak memory of a stretch of work."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
PAUSE_S = 0.002


class Peak:
    """Watches memory while it is open; `bytes` is the most that was added, None if not known.

    On CUDA what torch allocated; on a CPU the process's own memory (Linux only), looked at every
    few milliseconds. `of_card`: all that is gone of a GPU's memory at the peak: what torch had
    reserved, and what the card's context and other processes take; None on a CPU.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.bytes: int | None = None
        self.of_card: int | None = None

    def __enter__(self) -> Peak:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self.start = torch.cuda.memory_allocated(self.device)
        elif STATUS.is_file():
            self.start, self.most, self.over = own_memory(), 0, threading.Event()
            self.thread = threading.Thread(target=self.watch, daemon=True)
            self.thread.start()
        return self

    def watch(self) -> None:
        """Look again and again."""
        while not self.over.wait(PAUSE_S):
            self.most = max(self.most, own_memory() - self.start)

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device) - self.start
            free, total = torch.cuda.mem_get_info(self.device)
            others = total - free - torch.cuda.memory_reserved(self.device)
            self.of_card = torch.cuda.max_memory_reserved(self.device) + others
        elif STATUS.is_file():
            self.over.set()
            self.thread.join()
            self.bytes = self.most


def own_memory() -> int:
    """Bytes of the process that are no file's, RssAnon."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
