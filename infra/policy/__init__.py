"""The policy pack: rules that no change of the programs may break."""
