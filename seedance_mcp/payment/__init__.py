"""How a purchase is paid: wire formats and signatures. No policy, no storage, no network."""
