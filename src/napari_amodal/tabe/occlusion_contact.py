"""What the contact of an object with nearer things tells of its hidden part.

Whatever is hidden goes on from the visible part: the two meet along the edge of what hides it. So
no contact means nothing hidden.
"""

from __future__ import annotations

import cv2
import numpy as np

from napari_amodal.masks import Mask

#: Outlines of mask and depth may be apart by this many pixels, or this share of the object's size.
_APART = 3.0
_APART_SHARE = 0.015


def adjoining(hidden: Mask, visible: Mask, size: float) -> Mask:
    """The patches of a hidden part that adjoin the visible one.

    Parameters
    ----------
    hidden, visible : ndarray
        Bool ``(h, w)``.
    size : float
        Square root of the object's area, in pixels.
    """
    if not hidden.any():
        return hidden
    count, labels = cv2.connectedComponents(hidden.view(np.uint8))
    reach = cv2.distanceTransform((~visible).view(np.uint8), cv2.DIST_L2, 5)
    kept = np.zeros(count, np.bool_)
    kept[np.unique(labels[hidden & (reach <= max(_APART, _APART_SHARE * size))])] = True
    return np.asarray(kept[labels], np.bool_)
