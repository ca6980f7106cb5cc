"""One study against another: may they be compared (`alike`), their answers (`answers`), two networks (`pairs`)."""
