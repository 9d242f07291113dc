-- A transfer on the chain is told by the hash that its payment was signed with, without a look through the history.
CREATE INDEX payments_by_signed_hash ON payments (signed_hash) WHERE signed_hash IS NOT NULL;
