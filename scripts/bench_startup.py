"""Spawn to ``tools/list``: the product next to a bare server with the same tools."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from types import ModuleType
from typing import Any

import anyio
import click
from bench_client import Server, print_times
from mcp_types import Tool

from seedance_mcp import results, server, standing
from seedance_mcp.runtime import Runtime, opener

WARM_UPS = 2
PRODUCT = ("seedance_mcp", "serve")
BARE = "bare_server"
IMPORTS = """\
from decimal import Decimal
from typing import Annotated, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field
"""


def measure_startups(pairs: int) -> float:
    """Print the figures; the median of the pairwise ratios."""
    with TemporaryDirectory(prefix="seedance-bench-") as name:
        folder = Path(name)
        (folder / f"{BARE}.py").write_text(bare_source())
        for _ in range(WARM_UPS):
            (_, ours), (_, bare) = start(PRODUCT, folder), start((BARE,), folder)
            if ours != bare:
                raise click.ClickException("the bare server lists other tools than the product")
        timed = [(start(PRODUCT, folder)[0], start((BARE,), folder)[0]) for _ in range(pairs)]
    rows = {"seedance-mcp": [pair[0] for pair in timed], "bare MCPServer, same tools": [pair[1] for pair in timed]}
    print_times(f"spawn to tools/list, {pairs} pairs", rows)
    ratio = median(ours / bare for ours, bare in timed)
    click.echo(f"median of the pairwise ratios: {ratio:.3f}")
    return ratio


def start(arguments: tuple[str, ...], folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Nanoseconds from the spawn to the answer, and the tools in it."""
    began = perf_counter_ns()
    with Server(arguments, folder) as process:
        process.initialize()
        tools = process.request("tools/list")["tools"]
        return perf_counter_ns() - began, tools


def bare_source() -> str:
    """A module that imports the SDK and pydantic only, with the product's tools and nothing behind them."""
    product = server.build_server(Runtime(opener("seedance_mcp.app:open_app")))
    tools = anyio.run(product.list_tools)
    tree = ast.parse(inspect.getsource(server))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    return "\n".join(
        [
            IMPORTS,
            *declarations(standing, (ast.Assign,)),
            *declarations(results, (ast.Assign, ast.ClassDef)),
            *declarations(server, (ast.Assign,)),
            *(signature(functions[tool.name]) for tool in tools),
            f"tools = [{', '.join(registration(tool) for tool in tools)}]",
            "for tool in tools:",
            "    tool.parameters['additionalProperties'] = False",
            "MCPServer('seedance', instructions=INSTRUCTIONS, log_level='WARNING', tools=tools).run('stdio')",
        ]
    )


def declarations(module: ModuleType, kinds: tuple[type[ast.stmt], ...]) -> Iterator[str]:
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, kinds):
            yield ast.unparse(node)


def signature(function: ast.AsyncFunctionDef) -> str:
    function.body = [ast.Expr(ast.Constant(...))]
    return ast.unparse(function)


def registration(tool: Tool) -> str:
    annotations = tool.annotations.model_dump(exclude_none=True) if tool.annotations else {}
    return (
        f"Tool.from_function({tool.name}, title={tool.title!r}, description={tool.description!r}, "
        f"annotations=ToolAnnotations(**{annotations!r}))"
    )
