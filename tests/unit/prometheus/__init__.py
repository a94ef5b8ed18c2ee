"""Tests of the Prometheus source."""
