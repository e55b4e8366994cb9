"""Hardware profiles: what a step costs, in closed forms.

Read `step_time.py` first (the one signature all kinds share), then the kinds (`stages.py`,
`affine.py`, `piecewise.py`, `roofline.py`), then `kinds.py` and `document.py` (what the YAML may
hold), `profile.py` (document to :class:`HardwareProfile`) and `load.py` (name to document).
"""

from __future__ import annotations

from llmsched.hardware.load import load_profile, shipped_profiles
from llmsched.hardware.profile import HardwareProfile, parse_profile
from llmsched.hardware.step_time import Minorant, StepTime

__all__ = [
    "HardwareProfile",
    "Minorant",
    "StepTime",
    "load_profile",
    "parse_profile",
    "shipped_profiles",
]
