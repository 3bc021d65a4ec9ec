"""The questions themselves: each module puts one to real brokers, with what it needs beside it (see `catalogue`)."""
