"""This host's own GPUs through NVML, read in a child process, since a call into a sick driver may never return."""
