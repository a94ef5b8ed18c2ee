"""How fast the program is beside its floors and its peers, in one run on one machine. Nothing here is a test.

`python -m benchmarks` runs all, `python -m benchmarks NAME...` some; `--quick` asks less often of smaller fleets. Each figure is
one JSON object a line. Loads are on loopback and bounded, and every child process is ended by the one that started it.
"""
