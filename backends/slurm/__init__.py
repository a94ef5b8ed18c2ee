"""Slurm, read and driven by its own commands: `scontrol`, `squeue`. No library, no slurmrestd, and never a shell."""
