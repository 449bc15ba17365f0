"""What is to be told to systems outside: the credit authority's, and supervising departments'; signed, until it arrives."""
