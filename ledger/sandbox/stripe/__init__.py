"""The sandbox of Stripe: `Sandbox` is what others use."""

from ledger.sandbox.stripe.app import Sandbox as Sandbox
