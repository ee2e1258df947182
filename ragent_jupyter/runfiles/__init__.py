"""Floor 3, hands: a project's folder and a run's folder, shared by wrapper, sidecar, engine and kernels.

Standard library and msgspec only: training environments and the sidecar need nothing else.
"""
