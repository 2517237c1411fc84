"""Networks trained: batches, the loop, where it computes, how it goes on after a kill."""
