"""How the shipped detector is made: its data, pretraining, training, calibration and scores."""
