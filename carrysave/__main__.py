"""``python -m carrysave`` is the command ``carrysave``."""

import sys

from .cli import main

sys.exit(main())
