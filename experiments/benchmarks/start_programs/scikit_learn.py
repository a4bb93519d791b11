"""The lecture's training with scikit-learn's classifier: 64-30-10, plain SGD, one sample per update, five epochs."""

import warnings

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

warnings.simplefilter("ignore")  # five epochs are few, which scikit-learn says
digits = load_digits()
x = digits.images.reshape(len(digits.images), -1)
x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-7)
model = MLPClassifier(
    (30,), activation="logistic", solver="sgd", alpha=0, batch_size=1, learning_rate_init=0.2, max_iter=5, momentum=0
)
model.fit(x[300:], digits.target[300:])
print(model.loss_, model.score(x[:300], digits.target[:300]))
