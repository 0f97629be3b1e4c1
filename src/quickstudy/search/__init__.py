"""Trial and error over learning methods: spaces, trials, studies, and what is learnt from them."""
