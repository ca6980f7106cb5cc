"""Networks of every family: `NetworkSpec` in, `nn.Module` and exact cost out. Importing it loads no torch."""
