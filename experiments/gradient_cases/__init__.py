"""Networks and mistakes on which gradients are compared."""
