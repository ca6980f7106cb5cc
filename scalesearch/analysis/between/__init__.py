"""One study against another: whether they may be compared (`alike`), their answers (`answers`), two networks (`pairs`)."""
