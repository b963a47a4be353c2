"""Clips with exact amodal ground truth, by laying occluders over an object with nothing before it.

As TABE-51 was made (reference of the method: TABE, "The TABE-51 layout"): the object's mask is
known before anything is laid over it, so its amodal mask is exact by construction.
"""
