"""``python -m llmsched``."""

import sys

from llmsched.cli import main

sys.exit(main())
