"""Robots of Gymnasium's MuJoCo tasks: observation, reward, termination and initial states."""
