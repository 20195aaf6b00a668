"""stforecast: deep spatio-temporal forecasting of reported offences on H3 hexagons."""

import os

__version__ = "0.1.0"

# PyTorch then takes large tensors in large pages, where Linux has them: without, training on 20,000 hexagons spends a
# third of its time touching pages for the first time (docs/speed.md).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
