"""What every implementation has to share."""

EPS = 1e-5  # of the keys' RMSNorm
