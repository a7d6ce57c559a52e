"""Measurements and trainings that are not part of the package: the study, the shipped detector, device jobs."""
