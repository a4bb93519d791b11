"""The first fit of an estimator in a new process: ``first_fit.py jaxmlp`` or ``first_fit.py sklearn``."""

import sys
import warnings

from sklearn.datasets import load_digits

if sys.argv[1] == "jaxmlp":
    import jax

    from jaxmlp import MLPClassifier, runtime

    jax.config.update("jax_compilation_cache_dir", str(runtime.cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
else:
    from sklearn.neural_network import MLPClassifier

warnings.simplefilter("ignore")
x, labels = load_digits(return_X_y=True)
print(MLPClassifier(max_iter=20, random_state=0).fit(x / 16, labels).loss_)
