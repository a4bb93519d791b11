from .estimator import MLPClassifier as MLPClassifier
from .grid import MLPClassifierSearch as MLPClassifierSearch
from .grid import MLPRegressorSearch as MLPRegressorSearch
from .network_estimator import NetworkEstimator as NetworkEstimator
from .regressor import MLPRegressor as MLPRegressor
from .settings import check_settings as check_settings
