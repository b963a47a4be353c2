"""Steps of the UNet for NVIDIA cards, each one pass over memory where PyTorch takes several.

The mathematics is that of the plain layers, which `layers` and `motion` take elsewhere.
"""
