"""Runs heavy work beside the event loop, in a thread that ends with it.

OpenMP keeps a team of threads for every thread that ever computed in parallel, for as long as that one lives. As soon
as all teams together outnumber the processors, GNU's OpenMP puts its threads to sleep between any two operations, and
waking them costs more than most operations of a small model take: a pool's idle thread that once loaded a model makes
each token of it take twice as long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, or what it raises. Cancelled, it runs to its end with nobody waiting."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="aside")
    try:
        return await asyncio.wrap_future(executor.submit(work, *args, **kwargs))
    finally:
        executor.shutdown(wait=False)
