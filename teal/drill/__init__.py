"""Rehearsals: a fault is caused on a laptop stack that people use, the runbook's own commands mend it, and what it cost is measured."""
