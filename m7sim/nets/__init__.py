"""Whole networks: their layers, weights and inputs."""
