"""One study against another: whether their accuracies may be compared (`alike`), and their answers (`answers`)."""
