"""Profiles of the property tests: `make proofs` draws far more examples than `make test`."""

from hypothesis import settings

settings.register_profile("proofs", max_examples=1500)
