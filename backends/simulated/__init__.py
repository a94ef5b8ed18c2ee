"""A small data centre on loopback: a simulated fleet behind the Kubernetes API subset and an exporter page."""
