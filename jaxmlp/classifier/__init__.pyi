from .estimator import MLPClassifier as MLPClassifier
from .network_estimator import NetworkEstimator as NetworkEstimator
from .regressor import MLPRegressor as MLPRegressor
from .search import MLPClassifierSweep as MLPClassifierSweep
from .search import MLPRegressorSweep as MLPRegressorSweep
from .settings import check_settings as check_settings
