"""Tree ensembles on tabular rows: what all share, and an adapter for each library."""

from stforecast.forecasters.trees.fits import TreeFit
from stforecast.forecasters.trees.forecaster import Trees
from stforecast.forecasters.trees.pooled import PooledTrees
