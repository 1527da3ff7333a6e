"""What computes it: Amaranth components, the catalogue of designs, and their Verilog."""
