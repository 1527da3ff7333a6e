"""Arithmetic at the heart of AI accelerators: RTL, golden models, proofs, silicon figures and bitstreams."""

__version__ = "0.1.0"
