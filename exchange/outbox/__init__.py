"""What systems outside are to be told: the credit authority's, supervising departments'; signed, until it arrives."""
