"""What one request may ask for, so that nobody keeps the webserver from everybody else by a single one."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY: Final = 16 * 1024**2
"""Bytes that a request may bring; a websocket's message may be as large, says uvicorn."""

LONGEST_DOCUMENT: Final = 1_000_000
"""Characters of a GraphQL document. What is large belongs into its variables."""

MOST_TOKENS: Final = 10_000
"""Words and signs of a GraphQL document: it is read in the event loop where it comes over a websocket."""

MOST_FIELDS: Final = 20_000
"""Fields of a GraphQL document with its fragments in their places: each fragment may name another twice."""

MOST_MUTATIONS: Final = 50
"""Mutations of a GraphQL document: each is written to the audit log, which nobody is to fill by one request."""


MOST_RESOLVED: Final = 2_000_000
"""Fields of a GraphQL answer, each as often as it is in there: lists in lists in lists multiply.
Dagster's own list of all assets has some fifty for each."""


class BodyLimit:
    """ASGI middleware that takes no more of a request's body than `LARGEST_BODY`.

    Args:
        app: Who reads it.
        most: Bytes.
    """

    def __init__(self, app: ASGIApp, *, most: int = LARGEST_BODY) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on up to there."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                # raised where the body is read, so that the answer is made where others are
                raise HTTPException(413, f"a request may bring {self._most:,} bytes")
            return message

        await self._app(scope, counted, send)


class AnswerTooLargeError(BaseException):
    """A GraphQL answer gets larger than one may be.

    No `Exception`: GraphQL would note that as the error of one field, and go on with the next.
    """


def count_resolved(resolve: Callable[..., Any], root: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    """GraphQL middleware that breaks an answer off that has `MOST_RESOLVED` fields.

    Raises:
        AnswerTooLargeError: It has more.
    """
    context = info.context
    context.resolved += 1
    if context.resolved > MOST_RESOLVED:
        raise AnswerTooLargeError(f"an answer may have {MOST_RESOLVED:,} fields: ask for less at once")
    return resolve(root, info, **arguments)


class TooMuchError(Exception):
    """A GraphQL document asks for too much; the text says of what.

    Attributes:
        mutations: Whether it is of mutations.
    """

    def __init__(self, text: str, *, mutations: bool = False) -> None:
        super().__init__(text)
        self.mutations = mutations


def read_document(query: str) -> DocumentNode:
    """Read a GraphQL document that asks for no more than one may.

    Args:
        query: Its text.

    Raises:
        TooMuchError: It asks for more.
        GraphQLError: It is none.

    Example:
        >>> read_document("{version " + "version " * 20_000 + "}")
        Traceback (most recent call last):
        mlrepro.web.limits.TooMuchError: a query may have 10,000 words and signs: send what is large as variables
    """
    if not isinstance(query, str):
        raise TooMuchError("a query is text")
    if len(query) > LONGEST_DOCUMENT:
        raise TooMuchError(f"a query may have {LONGEST_DOCUMENT:,} characters: send what is large as variables")
    try:
        document = parse(query, max_tokens=MOST_TOKENS)
    except GraphQLSyntaxError as error:
        if f"more than {MOST_TOKENS} tokens" not in error.message:
            raise
        raise TooMuchError(
            f"a query may have {MOST_TOKENS:,} words and signs: send what is large as variables"
        ) from None
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    try:
        fields = sum(_Count(fragments, deep=True).of(each.selection_set) for each in operations)
        changing = [each for each in operations if each.operation is OperationType.MUTATION]
        mutations = sum(_Count(fragments, deep=False).of(each.selection_set) for each in changing)
    except RecursionError:
        raise TooMuchError("the query is nested too deep") from None
    if mutations > MOST_MUTATIONS:
        raise TooMuchError(f"a document may hold {MOST_MUTATIONS} mutations: send several", mutations=True)
    if fields > MOST_FIELDS:
        raise TooMuchError(f"a query may have {MOST_FIELDS:,} fields, those of its fragments wherever they are named")
    return document


class _Count:
    """Counts fields, those of each fragment once, however often it is named."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode], *, deep: bool) -> None:
        self._fragments = fragments
        self._deep = deep
        self._known: dict[str, int] = {}

    def of(self, selections: SelectionSetNode | None) -> int:
        count = 0
        for each in selections.selections if selections is not None else ():
            count += self._one(each)
        return count

    def _one(self, selection: Any) -> int:
        if isinstance(selection, FieldNode):
            return 1 + (self.of(selection.selection_set) if self._deep else 0)
        if isinstance(selection, InlineFragmentNode):
            return self.of(selection.selection_set)
        assert isinstance(selection, FragmentSpreadNode)
        name = selection.name.value
        if name not in self._known:
            self._known[name] = 0  # one that names itself: Dagster refuses it
            found = self._fragments.get(name)
            self._known[name] = self.of(found.selection_set) if found is not None else 0
        return self._known[name]
