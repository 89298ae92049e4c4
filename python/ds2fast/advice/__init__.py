"""What `ds2fast doctor` finds out: models on this machine, their speed, the time they take."""
