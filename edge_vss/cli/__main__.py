"""``python -m edge_vss.cli``."""

import sys

from edge_vss.cli import main

sys.exit(main())
