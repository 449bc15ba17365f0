"""Commitments (告知承诺): signed in place of a paper, made public where the law says so, verified later."""
