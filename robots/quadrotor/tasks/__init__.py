"""Quadrotor tasks: one file or folder per task."""
