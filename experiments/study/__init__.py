"""A comparison of all variants on synthetic scenes and on labelled photographs, from training to tables."""
