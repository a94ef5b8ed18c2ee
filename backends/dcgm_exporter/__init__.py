"""GPU telemetry straight from dcgm-exporter pages: the simulator's, or a site's before it has a Prometheus."""
