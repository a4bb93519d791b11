"""Code as people bring it: the lecture's NumPy functions, backward passes in every convention, right and wrong."""
