"""The lecture's training in JAX, as a person writes it: 64-30-10, five epochs, each one a compiled scan."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
x = digits.images.reshape(len(digits.images), -1)
x = jnp.asarray((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-7))
y = jnp.asarray(np.eye(10)[digits.target])
x_train, y_train, x_test, y_test = x[300:], y[300:], x[:300], y[:300]

random = np.random.RandomState(0)
params = [(jnp.asarray(random.normal(0, 1 / np.sqrt(a), (b, a))), jnp.zeros(b)) for a, b in ((64, 30), (30, 10))]


def logits(params, x):
    (W1, b1), (W2, b2) = params
    return jax.nn.sigmoid(x @ W1.T + b1) @ W2.T + b2


def loss(params, x, y):
    return -jnp.sum(y * jax.nn.log_softmax(logits(params, x)))


def update(params, row):
    value, gradient = jax.value_and_grad(loss)(params, x_train[row], y_train[row])
    return jax.tree.map(lambda p, g: p - 0.2 * g, params, gradient), value


@jax.jit
def train_epoch(params, order):
    params, losses = jax.lax.scan(update, params, order)
    right = [
        jnp.mean(jnp.argmax(logits(params, x), axis=1) == jnp.argmax(y, axis=1))
        for x, y in ((x_train, y_train), (x_test, y_test))
    ]
    return params, losses.mean(), right


for epoch in range(5):
    params, mean, (train, test) = train_epoch(params, random.permutation(len(x_train)))
    print(epoch + 1, float(mean), float(train), float(test))
