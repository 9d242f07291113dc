"""The seam between the SDK and the tools: strict arguments, and errors in our own words."""

import json
import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self, cast

from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import BaseModel, ValidationError

from seedance_mcp.errors import InvalidArgument, Money, SeedanceError, capitalised
from seedance_mcp.money import usd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp.server.mcpserver import Context

logger = logging.getLogger(__name__)


class PlainArguments(FuncMetadata):
    """Arguments as they were sent. The SDK reads JSON inside of strings, and a prompt may look like JSON."""

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        return data


class StrictTool(Tool):
    """A tool that refuses unknown arguments and answers every failure as a result: what, the money, what next."""

    pays: bool = False

    @classmethod
    def make(cls, fn: "Callable[..., Any]", *, pays: bool, **details: Any) -> Self:  # noqa: ANN401 - Tool's own
        tool = cast("Self", cls.from_function(fn, **details))
        tool.parameters["additionalProperties"] = False
        tool.fn_metadata = PlainArguments(**dict(tool.fn_metadata))
        tool.pays = pays
        return tool

    async def run(
        self,
        arguments: dict[str, Any],
        context: "Context[Any, Any]",
        convert_result: bool = False,
    ) -> Any:  # noqa: ANN401
        try:
            self._refuse_unknown(arguments)
            # Clients with strict schemas send null for what they leave out.
            given = {name: value for name, value in arguments.items() if value is not None}
            return await super().run(given, context, convert_result)
        except SeedanceError as error:
            return failure(error)
        except ToolError as error:
            return failure(self._in_our_words(error))

    def _refuse_unknown(self, arguments: dict[str, Any]) -> None:
        known = list(self.parameters["properties"])
        for name in arguments:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}."
                raise InvalidArgument(f"{self.name} has no argument {name[:60]!r}", next=capitalised(hint))

    def _in_our_words(self, error: ToolError) -> SeedanceError:
        cause = error.__cause__
        if isinstance(cause, SeedanceError):
            return cause
        if isinstance(cause, ValidationError) and cause.title == self.fn_metadata.arg_model.__name__:
            return InvalidArgument(_first_problem(cause))
        logger.error("%s ended in a fault of its own", self.name, exc_info=error)
        if not self.pays:
            return SeedanceError("an internal fault ended the call", next="Tell the operator.", code="internal")
        return SeedanceError("an internal fault ended the call", money=Money.UNKNOWN, code="internal")


def success(result: BaseModel, links: "Sequence[str]" = ()) -> CallToolResult:
    """The whole answer twice, since clients drop either ``content`` or ``structuredContent``; ``links`` to resources
    come after it."""
    document = result.model_dump(mode="json")
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    content += [ResourceLink(type="resource_link", uri=uri, name=uri.rpartition("/")[2]) for uri in links]
    return CallToolResult(content=content, structured_content=document)


def failure(error: SeedanceError) -> CallToolResult:
    """The error for a model to read, and its facts for programs in ``_meta``."""
    facts = {
        "code": error.code,
        "charged_usd": usd(error.charged),
        "purchase_id": error.purchase_id,
        "next": error.next,
    }
    content = [TextContent(type="text", text=capitalised(str(error)))]
    return CallToolResult(content=content, is_error=True, _meta={"seedance/error": facts})


def _first_problem(error: ValidationError) -> str:
    """One sentence for pydantic's first complaint: the argument, what was given, what is allowed."""
    problem = error.errors(include_url=False)[0]
    where = str(problem["loc"][0]) if problem["loc"] else "the arguments"
    if problem["type"] == "missing":
        return f"{where} is missing"
    given = repr(problem["input"])
    told = problem["msg"].removeprefix("Value error, ")
    return f"{where} is {given if len(given) <= 60 else given[:57] + '...'}: {told[:1].lower()}{told[1:]}"
