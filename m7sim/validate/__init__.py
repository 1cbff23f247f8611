"""Model against measured silicon: probes of single facts, cases of whole programs."""
