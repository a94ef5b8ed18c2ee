"""Tests of the dcgm-exporter source."""
