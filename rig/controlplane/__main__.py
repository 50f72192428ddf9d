"""`python -m rig.controlplane [PROGRAM…]` builds ahead of the tests, for example in CI."""

import sys

from .build import main

raise SystemExit(main(sys.argv[1:]))
