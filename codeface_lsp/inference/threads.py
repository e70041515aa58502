"""How the generation thread shares the machine: with every core but one, and behind the editor."""

from __future__ import annotations

import logging
import os
import sys
import threading

import psutil
import torch

log = logging.getLogger(__name__)

NICENESS = 5


def thread_count(wanted: int) -> int:
    """CPU threads to compute with: as told, else the physical cores less one, at least one."""
    if wanted > 0:
        return wanted
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else physical
    return max(1, min(physical, usable) - 1)


def settle(wanted: int) -> int:
    """Set up the calling thread for computing; threads that it starts inherit its priority. Returns their number."""
    count = thread_count(wanted)
    torch.set_num_threads(count)
    if sys.platform.startswith("linux"):
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        except OSError as error:
            log.info("the generation thread keeps its priority (%s)", error)
    return count
