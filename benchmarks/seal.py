"""`python -m benchmarks.seal`: nothing but the sealer, on the database and with the keys that the environment names."""

import os
from pathlib import Path

import uvloop

from ledger.sealing.sealer import seal_forever

if __name__ == "__main__":
    uvloop.run(seal_forever(os.environ["LEDGER_DATABASE_URL"], Path(os.environ["LEDGER_SEAL_KEYS"]), None))
