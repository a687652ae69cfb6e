"""What `make run` starts and watches: database, broker, web, gate, workers, sandbox.

Public: `python -m console.launch run`. Parts: `pglocal` and `valkeylocal` give the embedded
servers, `children` starts, watches and stops processes, `run` puts them in order.
"""
