"""Ending tasks for sure.

Before Python 3.12 `asyncio.wait_for` may swallow a cancellation that arrives together with its result.
"""

from __future__ import annotations

import asyncio
from typing import Any


async def end(*tasks: asyncio.Task[Any], again_s: float = 1.0) -> None:
    """Cancel, and again every `again_s`, until every task has ended; what they raise is nobody's concern any more."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)
    await asyncio.gather(*tasks, return_exceptions=True)
