"""What is bought: StableStudio's API. Nothing here knows a budget, a price limit or a key."""
