"""The data-sharing exchange: brings departments' data together and answers questions about it under law."""
