"""The type of a decoded picture."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # (height, width, 3) RGB unless it says otherwise
