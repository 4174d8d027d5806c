"""Products. docs.stripe.com/api/products"""

from typing import Final

from ledger.sandbox.stripe.arguments import Arguments, CreatedPageArguments, Metadata, is_within, merged, told
from ledger.sandbox.stripe.operations import AnyOperation, get, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class NewProductArguments(Arguments, kw_only=True, frozen=True):
    """What makes a product. docs.stripe.com/api/products/create"""

    name: str
    active: bool = True
    description: str | None = None
    unit_label: str | None = None
    metadata: Metadata | None = None


class ProductArguments(Arguments, kw_only=True, frozen=True):
    """What of a product may change. docs.stripe.com/api/products/update"""

    name: str | None = None
    active: bool | None = None
    description: str | None = None
    unit_label: str | None = None
    metadata: Metadata | None = None


class ProductsArguments(CreatedPageArguments, kw_only=True, frozen=True):
    """Which products to list. docs.stripe.com/api/products/list"""

    active: bool | None = None


def create(state: State, arguments: NewProductArguments) -> Json:
    """Make a product. docs.stripe.com/api/products/create"""
    now = state.now
    product = state.products.add(
        {
            "id": state.ids.next("prod"),
            "object": "product",
            "active": arguments.active,
            "created": now,
            "default_price": None,
            "description": arguments.description,
            "images": [],
            "livemode": False,
            "marketing_features": [],
            "metadata": told(arguments.metadata),
            "name": arguments.name,
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "type": "service",
            "unit_label": arguments.unit_label,
            "updated": now,
            "url": None,
        }
    )
    state.announce("product.created", product)
    return product


def retrieve(state: State, _: Arguments, product: str) -> Json:
    """The product. docs.stripe.com/api/products/retrieve"""
    return state.products.get(product)


def update(state: State, arguments: ProductArguments, product: str) -> Json:
    """Change what was told. docs.stripe.com/api/products/update"""
    known = state.products.get(product)
    names = ("name", "active", "description", "unit_label")
    changes: Json = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    changes |= {"metadata": merged(known["metadata"], arguments.metadata), "updated": state.now}
    return state.changed("product.updated", known, changes)


def page(state: State, arguments: ProductsArguments) -> Json:
    """Products, newest first. docs.stripe.com/api/products/list"""
    return state.products.page(
        arguments,
        "/v1/products",
        lambda one: arguments.active in (None, one["active"]) and is_within(one["created"], arguments.created),
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/products", NewProductArguments, create),
    get("/v1/products", ProductsArguments, page),
    get("/v1/products/{product}", Arguments, retrieve),
    post("/v1/products/{product}", ProductArguments, update),
)
