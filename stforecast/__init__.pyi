"""What `import stforecast` offers, and where each lives; `__init__.py` imports it when it is first asked for."""

from stforecast.cube import Cube as Cube
from stforecast.delivery.convert import convert as convert
from stforecast.errors import StforecastError as StforecastError
from stforecast.evaluation.scorecard import Scorecard as Scorecard
from stforecast.evaluation.scorecard import evaluate as evaluate
from stforecast.forecasters.base import Forecaster as Forecaster
from stforecast.forecasters.baselines import EWMA as EWMA
from stforecast.forecasters.baselines import LastYear as LastYear
from stforecast.forecasters.baselines import MeanOfLast12 as MeanOfLast12
from stforecast.forecasters.baselines import SeasonalNaive as SeasonalNaive
from stforecast.forecasters.climatology import FixedClimatology as FixedClimatology
from stforecast.forecasters.climatology import RollingClimatology as RollingClimatology
from stforecast.forecasters.controls import HexagonMean as HexagonMean
from stforecast.forecasters.controls import LastWeek as LastWeek
from stforecast.forecasters.ensemble import Ensemble as Ensemble
from stforecast.forecasters.forecast import Forecast as Forecast
from stforecast.forecasters.gcrn.forecaster import GCRN as GCRN
from stforecast.forecasters.hawkes import Hawkes as Hawkes
from stforecast.forecasters.kernel import Kernel as Kernel
from stforecast.forecasters.streaming import StreamingForecaster as StreamingForecaster
from stforecast.forecasters.trees.zoo import BalancedRandomForest as BalancedRandomForest
from stforecast.forecasters.trees.zoo import CatBoost as CatBoost
from stforecast.forecasters.trees.zoo import ExtraTrees as ExtraTrees
from stforecast.forecasters.trees.zoo import HistGradientBoosting as HistGradientBoosting
from stforecast.forecasters.trees.zoo import LightGBM as LightGBM
from stforecast.forecasters.trees.zoo import RandomForest as RandomForest
from stforecast.forecasters.trees.zoo import XGBoost as XGBoost
from stforecast.pipeline.loading import load_cube as load_cube
from stforecast.scoring.splits import Split as Split

__version__: str
