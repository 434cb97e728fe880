"""A line through the last points of a series, by least squares."""

from __future__ import annotations

from collections import deque


class Line:
    """Keeps the last `most` points and the sums over them, so that a point more costs the same however many there are.

    Sums are taken from a point in the window, and anew once it has passed: so their rounding errors do not add up.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._points: deque[tuple[float, float]] = deque()
        self._from = 0.0
        self._until_anew = 0
        self._x = self._y = self._xx = self._xy = 0.0

    def __len__(self) -> int:
        """Count the points."""
        return len(self._points)

    def add(self, x: float, y: float) -> None:
        """Take a point more, and forget the oldest where there are too many."""
        points = self._points
        if not self._until_anew:
            self._begin_anew(x)
        self._until_anew -= 1
        points.append((x, y))
        x -= self._from
        self._x, self._y, self._xx, self._xy = self._x + x, self._y + y, self._xx + x * x, self._xy + x * y
        if len(points) > self._most:
            x, y = points.popleft()
            x -= self._from
            self._x, self._y, self._xx, self._xy = self._x - x, self._y - y, self._xx - x * x, self._xy - x * y

    def slope(self) -> float:
        """Give the slope; 0 where the points are too close together to tell."""
        mean = self._x / len(self._points)
        spread = self._xx - mean * self._x
        return (self._xy - mean * self._y) / spread if spread > 1.0 else 0.0

    def _begin_anew(self, x: float) -> None:
        self._from, self._until_anew = x, self._most
        self._x = sum(at - x for at, _ in self._points)
        self._y = sum(y for _, y in self._points)
        self._xx = sum((at - x) ** 2 for at, _ in self._points)
        self._xy = sum((at - x) * y for at, y in self._points)
