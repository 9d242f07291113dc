"""WHETHER a purchase may be paid: the operator's policy and one pure decision."""
