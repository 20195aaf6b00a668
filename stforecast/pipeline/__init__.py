"""Stages of a city on disk: ingest, build, train, evaluate, forecast, refresh."""
