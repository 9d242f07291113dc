"""WHAT HAPPENED: payments, jobs and the audit chain in one database, so that they commit together.

``database`` opens it; ``payments``, ``jobs``, ``uploads`` and ``operator`` hold the statements, each a plain function
of a transaction; ``states`` holds the records and the legal moves. A caller runs a statement with
``await database.write(payments.claim, ...)``: one transaction, all of it or nothing.
"""
