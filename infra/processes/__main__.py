"""`python -m infra.processes api`: as `comfyplus api`, without loading what makes a command line pleasant."""

import sys

from infra.start import start

if __name__ == "__main__":
    start(sys.argv[1])
