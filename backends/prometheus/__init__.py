"""GPU telemetry from Prometheus, summed up by node there, so that a large fleet is a small answer."""
