"""The lecture: a file for each idea. Each formula and each step has a number, in the docstring and beside the code.

    step 1   (a) each column of the pixels is standardised                      data
             (b) labels become one-hot rows                                     data
             (c) the first 300 rows are the test set                            digits
    step 2   (d) initial weights                                                randomness
             (1) pre-activation   (2) activation, output                        network
             (e) loss of a sample, and its mean over samples                    losses
             (3) delta of the output   (4), (5) gradient   (6) delta below      backprop; by JAX: gradients
             (7) update                                                         training; its optimiser: optimizers
    step 3   (f) order in which an epoch visits the samples                     randomness
             (g) epoch: one update per batch, and the mean of the losses        training
             (h) accuracy after the epoch                                       losses

`entrance` has the checks that `train` makes before it computes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
