"""Variance and bias of policy gradient estimators."""
