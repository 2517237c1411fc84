"""Write the complete params.yaml of studies/<name>.yaml: `python tools/select_study.py digits`.

As `hidden-structure select`, for a clone whose command is another's.
"""

import sys

from hidden_structure.cli.main import main

if __name__ == "__main__":
    main(["select", *sys.argv[1:]])
