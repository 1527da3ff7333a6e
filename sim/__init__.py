"""The proof: one generic bench, simulators, bulk playing of vectors; and the store of results."""
