"""camward: a camera that proves who it is, and shows its picture only to those who may see it."""

__version__ = "0.1.0"
