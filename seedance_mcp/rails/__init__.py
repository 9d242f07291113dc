"""The ways that money goes: what each signs, how its answers are read, and what its chain proves."""
