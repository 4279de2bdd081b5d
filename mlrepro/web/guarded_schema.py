"""Dagster's GraphQL schema with a guard before each mutation.

The guards sit in the schema's own fields: whatever brings a mutation to them - POST, GET, an alias, a fragment, several
in one document, a websocket - comes by here, with arguments that GraphQL has read already.
"""

import copy
import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.instance import DagsterInstance
from dagster._core.workspace.permissions import Permissions
from dagster_graphql.schema import create_schema
from dagster_graphql.schema.errors import GrapheneUnauthorizedError
from graphene import Schema
from graphql import GraphQLError, GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLUnionType, get_named_type
from starlette.requests import HTTPConnection

from mlrepro.errors import AuditError
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from mlrepro.web.audit import AuditLog
from mlrepro.web.guards import GUARDS, Asked, Refused
from mlrepro.web.log_keys import check_log_key
from mlrepro.web.outcomes import outcome_of
from mlrepro.web.scope import mark_refused

_logger = logging.getLogger("mlrepro")

_Resolver = Callable[..., Any]


def guarded_schema(audit: AuditLog) -> Schema:
    """Make the schema.

    Args:
        audit: Where every attempt is written down.
    """
    schema: Schema = create_schema()
    types = schema.graphql_schema
    assert types.mutation_type is not None
    assert types.query_type is not None
    assert types.subscription_type is not None
    for name, field in types.mutation_type.fields.items():
        field.resolve = _guarded(name, field, audit)
    for name in ("capturedLogs", "capturedLogsMetadata"):
        field = types.query_type.fields[name]
        field.resolve = _with_log_key(_resolver(field))
    run = types.type_map["Run"]
    assert isinstance(run, GraphQLObjectType)
    run.fields["capturedLogs"].resolve = _with_log_key(_resolver(run.fields["capturedLogs"]), "fileKey")
    field = types.subscription_type.fields["capturedLogs"]
    assert field.subscribe is not None
    field.subscribe = _with_log_key(field.subscribe)
    for field in types.subscription_type.fields.values():
        assert field.subscribe is not None
        field.subscribe = _identified(field.subscribe)
    tick = types.type_map["DryRunInstigationTick"]
    assert isinstance(tick, GraphQLObjectType)
    evaluation = tick.fields["evaluationResult"]
    evaluation.resolve = _evaluated(_resolver(evaluation))
    return schema


def _resolver(field: GraphQLField) -> _Resolver:
    assert field.resolve is not None, "Dagster resolves it by a function"
    return field.resolve


def _guarded(name: str, field: GraphQLField, audit: AuditLog) -> _Resolver:
    resolve = _resolver(field)
    guard = GUARDS.get(name)
    named = get_named_type(field.type)
    answers = isinstance(named, GraphQLUnionType) and "UnauthorizedError" in {each.name for each in named.types}

    def guarded(root: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        context = _context(info)
        asked = Asked(context=context, arguments=arguments)
        refusal = None
        try:
            if guard is None:
                raise Refused(f"mlrepro does not know the mutation {name}")  # noqa: TRY301
            guard(asked)
            asked.check()
        except Refused as refused:
            refusal = str(refused)
        except Exception as error:
            # what can't be read can't be judged
            _logger.exception(f"the mutation {name} can't be judged")
            refusal = f"what it asks for can't be read: {type(error).__name__}"
        tenants = sorted({owner for each in asked.locations if (owner := context.access.owners.get(each))})
        entry = ""
        try:
            entry = audit.asked(
                name,
                connection=context.source,  # type: ignore[arg-type]
                identity=context.identity,
                target=asked.target,
                tenants=tenants,
                refused=refusal,
            )
        except AuditError as error:
            refusal = str(error)
        if refusal is not None:
            if answers:
                return GrapheneUnauthorizedError(message=refusal)  # type: ignore[no-untyped-call]
            raise GraphQLError(refusal, nodes=info.field_nodes, path=info.path.as_list())
        if asked.stamps:
            info = info._replace(context=_stamping(context, asked.stamps))
        try:
            result = resolve(root, info, **asked.arguments)
        except Exception as error:
            audit.done(entry, outcome_of(error))
            raise
        if isawaitable(result):
            return _finish(result, entry, audit)
        audit.done(entry, outcome_of(result))
        return result

    return guarded


async def _finish(result: Awaitable[Any], entry: str, audit: AuditLog) -> Any:
    try:
        value = await result
    except Exception as error:
        audit.done(entry, outcome_of(error))
        raise
    audit.done(entry, outcome_of(value))
    return value


def _context(info: GraphQLResolveInfo) -> IdentifiedRequestContext:
    if not isinstance(info.context, IdentifiedRequestContext):
        raise TypeError("a request without an identity has reached the schema")
    return info.context


def _identified(subscribe: _Resolver) -> _Resolver:
    def identified(root: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        _context(info)
        return subscribe(root, info, **arguments)

    return identified


def _with_log_key(resolve: _Resolver, argument: str = "logKey") -> _Resolver:
    def checked(root: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        given = arguments[argument]
        if (problem := check_log_key([given] if isinstance(given, str) else given)) is not None:
            _mark_refused(info, problem)
            raise GraphQLError(problem, nodes=info.field_nodes, path=info.path.as_list())
        return resolve(root, info, **arguments)

    return checked


def _evaluated(resolve: _Resolver) -> _Resolver:
    # the upcoming ticks of a schedule can be evaluated by a query, which runs the team's own code
    def evaluated(root: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        location = root._selector.location_name
        if not _context(info).has_permission_for_location(Permissions.SCHEDULE_DRY_RUN, location):
            text = f"this runs code of {location}, which takes the role launcher there, and a POST"
            _mark_refused(info, text)
            raise GraphQLError(text, nodes=info.field_nodes, path=info.path.as_list())
        return resolve(root, info, **arguments)

    return evaluated


def _mark_refused(info: GraphQLResolveInfo, why: str) -> None:
    source = _context(info).source
    if isinstance(source, HTTPConnection):
        mark_refused(source, why)


class _StampingInstance:
    """An instance whose new backfills get tags before the daemon can see them."""

    def __init__(self, instance: DagsterInstance, tags: dict[str, str]) -> None:
        self._instance = instance
        self._tags = tags

    def __getattr__(self, name: str) -> Any:
        return getattr(self._instance, name)

    def add_backfill(self, backfill: PartitionBackfill) -> None:
        self._instance.add_backfill(backfill._replace(tags={**backfill.tags, **self._tags}))


def _stamping(context: IdentifiedRequestContext, tags: dict[str, str]) -> IdentifiedRequestContext:
    stamping = copy.copy(context)
    stamping._instance = _StampingInstance(context.instance, tags)  # type: ignore[assignment]
    return stamping
