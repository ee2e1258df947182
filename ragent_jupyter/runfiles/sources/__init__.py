"""Readers of metric files, one a format. Each reads by offset, survives what real files do, and invents nothing."""
