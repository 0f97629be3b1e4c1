"""`python -m quickstudy`."""

import sys

from quickstudy.cli.main import main

sys.exit(main())
