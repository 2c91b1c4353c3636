"""python -m SG_dataset."""

import sys

from SG_dataset.cli import main

sys.exit(main())
