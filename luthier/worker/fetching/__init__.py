"""Gets what a URL names and is not turned against the network around it. Read `fetcher`, then `addresses`."""
