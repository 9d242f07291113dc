"""Finding the live JSON Schema of a clip's body, and making it safe to validate with.

A schema is the seller's text: references could be fetched, patterns could backtrack for hours, and recursion could be
without end. What ``plain_schema`` returns has none of them.
"""

from collections.abc import Iterator, Mapping

from seedance_mcp.money import parse_usd
from seedance_mcp.studio.models import generate_path

_DEPTH = 24
_NODES = 2_000
_LONGEST_RANGE = 200

_VALUES = {"const", "default", "enum", "required", "type"}
_COUNTS = {"maximum", "maxItems", "maxLength", "minimum", "minItems", "minLength"}
_BRANCHES = ("allOf", "anyOf", "oneOf")


def schema_from_challenge(extensions: Mapping[str, object]) -> Mapping[str, object] | None:
    """The body's schema inside a 402's extensions, or None.

    Its place is ``bazaar.schema.properties.input.properties.body`` (x402 v2 specification, bazaar extension).
    """
    schema = _walk(extensions, "bazaar", "schema")
    return plain_schema(_walk(schema, "properties", "input", "properties", "body"), schema) or None


def schema_from_openapi(document: object, model: str) -> Mapping[str, object] | None:
    """The schema of what is posted to the model's image-to-video route, local references resolved, or None."""
    request = _resolved(_operation(document, model).get("requestBody"), document)
    content = _mapping(request.get("content"))
    media = content.get("application/json") or next(iter(content.values()), None)
    return plain_schema(_mapping(media).get("schema"), document) or None


def maximum_from_openapi(document: object, model: str) -> str | None:
    """The highest price that the document advertises for the model, a decimal string in USD, or None."""
    info = _mapping(_operation(document, model).get("x-payment-info"))
    for stated in (_walk(info, "price", "max"), info.get("maxPrice"), info.get("max")):
        text = str(stated).removeprefix("$") if isinstance(stated, (str, int)) else ""
        try:
            parse_usd(text)
        except ValueError:
            continue
        return text
    return None


def plain_schema(schema: object, document: object = None) -> dict[str, object]:
    """A copy of ``schema`` in the few keywords that describe a clip, with the local references to ``document`` put in.

    Patterns, formats and remote references go. A body that only they would turn away is still found out: its quote is
    the route's maximum. What lies too deep, or comes after too many others, is left unsaid.
    """
    return _plain(schema, document, _DEPTH, iter(range(_NODES)))


def _plain(schema: object, document: object, depth: int, nodes: Iterator[int]) -> dict[str, object]:
    if depth <= 0 or next(nodes, None) is None:
        return {}

    def inner(node: object) -> dict[str, object]:
        return _plain(node, document, depth - 1, nodes)

    source = _resolved(schema, document)
    plain: dict[str, object] = {name: source[name] for name in source if name in _VALUES}
    plain |= {name: value for name, value in source.items() if name in _COUNTS and isinstance(value, int)}
    if source.get("nullable") is True and isinstance(source.get("type"), str):  # OpenAPI 3.0
        plain["type"] = [source["type"], "null"]
    for name in _BRANCHES:
        if isinstance(branches := source.get(name), list):
            plain[name] = [inner(branch) for branch in branches]
    if properties := _mapping(source.get("properties")):
        plain["properties"] = {name: inner(value) for name, value in properties.items()}
    if "items" in source:
        plain["items"] = inner(source["items"])
    if source.get("additionalProperties") is False:
        plain["additionalProperties"] = False
    return plain


def choices(schema: Mapping[str, object]) -> Iterator[object]:
    """The values that a property's schema lists, in order: by ``enum``, ``const``, variants, or a range of integers."""
    if isinstance(listed := schema.get("enum"), list):
        yield from listed
    elif "const" in schema:
        yield schema["const"]
    elif schema.get("type") == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        if isinstance(low, int) and isinstance(high, int) and high - low < _LONGEST_RANGE:
            yield from range(low, high + 1)
    for name in _BRANCHES:
        branches = schema.get(name)
        for branch in branches if isinstance(branches, list) else ():
            yield from choices(_mapping(branch))


def _operation(document: object, model: str) -> Mapping[str, object]:
    return _mapping(_walk(document, "paths", generate_path(model), "post"))


def _resolved(node: object, document: object) -> Mapping[str, object]:
    for _ in range(_DEPTH):
        found = _mapping(node)
        reference = found.get("$ref")
        if not isinstance(reference, str):
            return found
        steps = reference.removeprefix("#/").split("/") if reference.startswith("#/") else ["no such place"]
        node = _walk(document, *(step.replace("~1", "/").replace("~0", "~") for step in steps))
    return {}


def _walk(node: object, *names: str) -> object:
    for name in names:
        node = _mapping(node).get(name)
    return node


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
