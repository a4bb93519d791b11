"""The lecture's loop in NumPy, as a person writes it: 64-30-10, five epochs, one sample per update."""

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
x = digits.images.reshape(len(digits.images), -1)
x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-7)
y = np.eye(10)[digits.target]
x_train, y_train, x_test, y_test = x[300:], y[300:], x[:300], y[:300]

random = np.random.RandomState(0)
W1, W2 = random.normal(0, 1 / np.sqrt(64), (30, 64)), random.normal(0, 1 / np.sqrt(30), (10, 30))
b1, b2 = np.zeros(30), np.zeros(10)


def forward(x):
    h = 1 / (1 + np.exp(-(x @ W1.T + b1)))
    e = np.exp(h @ W2.T + b2)
    return h, e / e.sum(axis=-1, keepdims=True)


def accuracy(x, y):
    return np.mean(np.argmax(forward(x)[1], axis=1) == np.argmax(y, axis=1))


for epoch in range(5):
    loss = 0.0
    for row in random.permutation(len(x_train)):
        h, p = forward(x_train[row])
        loss -= np.log(p @ y_train[row])
        delta2 = p - y_train[row]
        delta1 = (W2.T @ delta2) * h * (1 - h)
        W2 -= 0.2 * np.outer(delta2, h)
        b2 -= 0.2 * delta2
        W1 -= 0.2 * np.outer(delta1, x_train[row])
        b1 -= 0.2 * delta1
    print(epoch + 1, loss / len(x_train), accuracy(x_train, y_train), accuracy(x_test, y_test))
