"""`agentlab store`: move the library, embed it anew, and print what starts a Weaviate."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agentlab.cli import options
from agentlab.errors import SettingsError

if TYPE_CHECKING:
    from agentlab.settings import Settings
    from ingest.config import StoreConfig
    from ingest.copying import CopyReport
    from ingest.reembedding import ReembedPlan, ReembedReport

EXAMPLES = """\b
Examples:
  agentlab store compose > compose.yaml        then: docker compose up --wait
  agentlab store copy --to weaviate --to-url http://localhost:8080
  agentlab store reembed --embedder BAAI/bge-small-en-v1.5 --dry-run
"""
COPY_EXAMPLES = """\b
Examples:
  agentlab store copy --to weaviate --to-url http://localhost:8080
  agentlab store copy --to weaviate --to-tenant north
  agentlab store copy --to lancedb --to-folder ~/backup
  agentlab store copy --to lancedb --to-collection before_summer
"""
COMPOSE_EXAMPLES = """\b
Examples:
  agentlab store compose > compose.yaml        then: docker compose up --wait
  agentlab store compose --nodes 3 > compose.yaml
"""
REEMBED_EXAMPLES = """\b
Examples:
  agentlab store reembed --dry-run
  agentlab store reembed --embedder BAAI/bge-small-en-v1.5
  agentlab store reembed --embedder text-embedding-3-small --backend openai
"""

app = typer.Typer(
    help="Move the library to another store or another embedder.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog=COPY_EXAMPLES)
def copy(
    *,
    to: Annotated[Literal["lancedb", "weaviate"], typer.Option("--to", help="The other store.")],
    to_url: Annotated[
        str | None, typer.Option("--to-url", metavar="URL", help="Its Weaviate [weaviate_url].")
    ] = None,
    to_folder: Annotated[
        Path | None, typer.Option("--to-folder", metavar="DIR", help="Its folder [HOME/store].")
    ] = None,
    to_collection: Annotated[
        str | None,
        typer.Option("--to-collection", metavar="NAME", help="Its collection [the same name]."),
    ] = None,
    to_tenant: Annotated[
        str | None, typer.Option("--to-tenant", metavar="NAME", help="Its tenant of a Weaviate.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the report.")] = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Copy the library to another store.

    Passages, vectors and notes are copied. Nothing is embedded again, and the library that is
    copied stays as it is. A copy that broke off goes on where it was; doing it twice writes nothing
    twice. A document that is there already becomes the one that is copied; other documents there
    are left alone. At the end the passages of every document are counted, and some compared byte
    for byte, in both stores.
    """
    settings = options.resolve(config, home=home, weaviate_tenant=tenant).settings
    from agentlab.library import store_config
    from agentlab.progress import draw_copy
    from ingest.copying import copy_library
    from ingest.stores import open_store

    place = _place(
        settings, kind=to, url=to_url, folder=to_folder, collection=to_collection, tenant=to_tenant
    )
    source = open_store(store_config(settings))
    try:
        target = open_store(place)
        try:
            report = draw_copy(copy_library(source, target), quiet=quiet)
        finally:
            target.close()
    finally:
        source.close()
    sys.stdout.write(_as_json(report.to_dict()) if as_json else _said(report, place))


@app.command(epilog=REEMBED_EXAMPLES)
def reembed(
    *,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="The new one [embedder].")
    ] = None,
    backend: Annotated[
        Literal["auto", "torch", "onnx", "openai"] | None,
        typer.Option("--backend", help="What runs it [embedder_backend]."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Stop where another process changes the library.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the report, or the plan, as JSON.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the report.")] = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Embed the library anew with another embedder.

    It is searched as before meanwhile. The passages as they are stored are embedded; no file is
    read. When all are there and counted, and the search is tuned and measured on the new vectors,
    the library changes over in one step; processes that search it go on with the new embedder by
    themselves. Then the old vectors are deleted. A run that broke off goes on where it was.
    """
    settings = options.resolve(
        config, home=home, weaviate_tenant=tenant, embedder=embedder, embedder_backend=backend
    ).settings
    from agentlab.cli.ingest import open_library
    from agentlab.progress import draw_reembedding
    from ingest.reembedding import plan_reembedding
    from ingest.reembedding import reembed as embed_anew

    collection = open_library(settings, anew=True)
    try:
        if dry_run:
            plan = plan_reembedding(collection)
            sys.stdout.write(_as_json(plan.to_dict()) if as_json else _planned(plan))
            return
        report = draw_reembedding(embed_anew(collection, wait=not no_wait), quiet=quiet)
    finally:
        collection.close()
    named = embedder is not None or backend is not None
    sys.stdout.write(_as_json(report.to_dict()) if as_json else _reembedded(report, named=named))


@app.command(epilog=COMPOSE_EXAMPLES)
def compose(
    *,
    nodes: Annotated[
        Literal["1", "3"], typer.Option("--nodes", help="One server, or three that share it.")
    ] = "1",
) -> None:
    """Print a compose file that starts Weaviate.

    Save it as compose.yaml, set WEAVIATE_API_KEY, and run docker compose up --wait. With three
    nodes, weaviate_replicas = 3 keeps every new collection on all of them.
    """
    from ingest.stores.compose import compose_file

    sys.stdout.write(compose_file(int(nodes)))


def _place(
    settings: "Settings",
    *,
    kind: Literal["lancedb", "weaviate"],
    url: str | None,
    folder: Path | None,
    collection: str | None,
    tenant: str | None,
) -> "StoreConfig":
    """Name the other store: what was given, else what the settings say."""
    from pydantic import ValidationError

    from agentlab.library import store_config
    from ingest.config import StoreConfig

    _refuse_strays(kind, {"--to-url": url, "--to-tenant": tenant}, folder)
    same = url is None or settings.weaviate_url in {None, url}
    here = (folder or settings.store_folder).expanduser().absolute()
    changes = {
        "kind": kind,
        "folder": here,
        "url": url or settings.weaviate_url,
        "collection": collection or settings.collection,
        # A key goes to its own server only; a tenant is of its own store only.
        "api_key": settings.weaviate_api_key if same else None,
        "grpc": settings.weaviate_grpc if same else None,
        "tenant": tenant,
    }
    try:
        return StoreConfig(**{**store_config(settings).model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = first["msg"].removeprefix("Value error, ")
        field = f" --to-{first['loc'][0]} {first['input']!r}:" if first["loc"] else ""
        raise SettingsError(
            f"The other store cannot be used:{field} {reason}. `agentlab store copy --help` has "
            "examples."
        ) from None


def _refuse_strays(kind: str, server: dict[str, str | None], folder: Path | None) -> None:
    strays = [name for name, value in server.items() if value] if kind == "lancedb" else []
    if kind == "weaviate" and folder is not None:
        strays = ["--to-folder"]
    if strays:
        message = f"{strays[0]} does not go with --to {kind}; leave one of them out"
        raise typer.BadParameter(message, param_hint=strays[0])


def _said(report: "CopyReport", place: "StoreConfig") -> str:
    where = place.url if place.kind == "weaviate" else place.folder
    tenant = f", tenant {place.tenant}" if place.tenant else ""
    what = f"{report.documents:,} documents, {report.chunks:,} passages"
    lines = [
        f"{what} are in {place.collection} at {where}{tenant}",
        f"{report.written:,} written now; {report.chunks - report.written:,} were there before",
        f"compared: the count of every document; {report.compared:,} passages byte for byte",
    ]
    if report.rounded:
        lines.append(f"the vectors of {report.rounded:,} of these differ in their last bits only")
    if report.removed:
        lines.append(f"{report.removed:,} passages of other versions were removed there")
    if report.elsewhere:
        lines.append(
            f"{report.elsewhere:,} documents that are only there were left alone; the next ingest "
            "there measures both together"
        )
    return "".join(f"{line}\n" for line in lines)


def _planned(plan: "ReembedPlan") -> str:
    what = _amount(plan)
    if not plan.needed:
        return f"nothing to do: {what} embedded with {plan.embedder}\n"
    there = f"; {plan.there:,} are there from a run that broke off" if plan.there else ""
    return f"{what}: from {plan.before} to {plan.embedder}{there}; nothing was changed\n"


def _reembedded(report: "ReembedReport", *, named: bool) -> str:
    what = _amount(report)
    if report.before == report.embedder:
        return f"nothing to do: {what} embedded with {report.embedder}\n"
    there = report.chunks - report.written
    lines = [
        f"{what}: from {report.before} to {report.embedder} ({report.seconds:.1f} s)",
        *([f"{there:,} were there from a run that broke off"] if there else []),
    ]
    if report.cut_anew:
        lines.append(
            f"{len(report.cut_anew):,} of the documents have passages longer than it reads: the "
            "next agentlab ingest of their folder cuts them anew"
        )
    if named:
        lines.append(
            "agentlab ingest goes by the settings: name the same embedder there (agentlab.toml)"
        )
    return "".join(f"{line}\n" for line in lines)


def _amount(of: "ReembedPlan | ReembedReport") -> str:
    from ingest.amounts import count

    return f"{count(of.documents, 'document')}, {count(of.chunks, 'passage')}"


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value) + "\n"
