"""What an operator wants to know at once: said on stderr, and sent to a webhook.

``happenings`` and ``thresholds`` are pure and say what is worth an alert; ``signing`` and ``webhook`` send one;
``alerts`` looks at the ledger now and then. All of it stands beside the purchases, which know nothing of it.
"""
