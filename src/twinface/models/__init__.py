"""Shipped weights, each with a contract, a model card and, for encoders, the decision rules."""
