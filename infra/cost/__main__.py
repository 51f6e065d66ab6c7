"""Entry of `python -m infra.cost STACK`."""

import sys

from infra.cost.report import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
