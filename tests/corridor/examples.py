"""What is bought, by whom, and for how much."""

from seedance_mcp.orders import SHIPPED_PAY_TO, Order
from seedance_mcp.payment.challenge import Offer
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.payment.wallet import Wallet

WALLET = Wallet(bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"))
STRANGER = Wallet(bytes.fromhex("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"))
"""Accounts 1 and 2 of the mnemonic that anvil and hardhat share."""
ME, OTHER, ENDED = "me", "other", "ended"
"""Processes: this one, another that is alive, and one that is not."""
PRICE, FUNDS = 400_000, 50_000_000
CLIP = Order(agent="storyboard", model="seedance", request={"prompt": "dawn"}, table=PRICE)
IMAGE = Order(agent="trailer", model="upload", request={"sha256": "ab" * 32, "width": 4, "height": 3}, table=PRICE)
OFFER = Offer("x402", BASE_USDC.network, PRICE, BASE_USDC, SHIPPED_PAY_TO, 300, {})
