"""Tests of the doors to clearinghouses, and of the clearinghouse that stands behind them."""
