"""What the arithmetic is: number formats, digit recodings, golden models, cycle models. NumPy only."""
