"""Networks of timm as baselines, rebuilt by timm's own classes."""
