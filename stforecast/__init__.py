"""stforecast: deep spatio-temporal forecasting of reported offences on H3 hexagons."""

__version__ = "0.1.0"
