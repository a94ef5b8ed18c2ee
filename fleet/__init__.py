"""The domain of Quarterdeck: values and rules of a GPU fleet. Standard library only; no I/O, no screen."""

__version__ = "0.1.0"
