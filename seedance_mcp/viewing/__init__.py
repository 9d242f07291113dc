"""Looking at a finished clip, so that its buyer can judge a take without a person."""
