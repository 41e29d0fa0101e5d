"""A program that makes a transaction and says how it ended."""


def program(transacts: str) -> str:
    """The program of a text that defines `main`, which takes the directory. It has a single worker."""
    return f"""
import asyncio, errno, os, sys
{transacts}
from rapfiles import TransactionError
os.environ["RAPFILES_MAX_WORKERS"] = "1"
try:
    asyncio.run(main(sys.argv[1]))
except TransactionError as error:
    print("committed", errno.errorcode[error.errno])
except OSError as error:
    print("failed", errno.errorcode[error.errno], "exchange" if "cannot exchange" in str(error) else "")
else:
    print("done")
"""
