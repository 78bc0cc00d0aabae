"""Claims on their way to payers and their answers on the way back."""
