"""The sample clip: our own footage, composed, with exact ground truth."""
