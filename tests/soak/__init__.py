"""The soak: whatever is killed, at any moment, no run, row or alert is lost, and none is there twice.

`python -m tests.soak --rounds 200 --seed 7 --json`. Jobs keep books of their own outside `.ragent` (job.py); a driver
kills engine, Jupyter server, sidecars, wrappers and tmux, at random moments and inside operations (driver.py); an
auditor compares the books with what the API says (audit.py).
"""
