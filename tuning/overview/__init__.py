"""What pages and commands show: snapshots of rows, read in a number of queries that does not grow with them."""
