"""How training scales with the number of devices: the model behind scripts/scaling_model.py."""
