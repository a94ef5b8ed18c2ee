"""Diagnostics that run on a node: which command each active check is, and what its output means."""
