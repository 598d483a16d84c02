"""A reduced form of every full run in `benchmarks`: small counts, the same code."""
