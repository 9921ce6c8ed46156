"""The smallest run that the tests of commands train."""

TINY = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--total-steps", "256")
"""Options of `hgrpo train ppo TASK` for two iterations."""
