"""/v1/documents and /v1/collections: adding, listing, replacing and deleting documents."""

from __future__ import annotations

import hashlib
import logging
from pathlib import PurePosixPath
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, File, Form, Header, Query, UploadFile
from fastapi.responses import Response
from pydantic import ValidationError

from app.access import audit
from app.access.authentication import allowed_collections
from app.answering.catalog_view import seen_by_all
from app.catalog import documents
from app.catalog.documents import AcceptedDocument, Document, Submission
from app.catalog.keys import Principal
from app.errors import InvalidRequest, TooLarge
from app.http.dependencies import Reader, Service, ServiceDep, Writing
from app.http.responses import json_bytes
from app.http.schemas import (
    DEFAULT_COLLECTION,
    METADATA,
    NO_NUL,
    AcceptedOut,
    CollectionName,
    CollectionOut,
    CollectionsOut,
    DeletedOut,
    DocumentError,
    DocumentIn,
    DocumentOut,
    DocumentsOut,
    FormatOut,
    FormatsOut,
    PassageOut,
    PassagesOut,
    Plain,
)
from app.indexing.passages import PAGE
from app.text.controls import one_line
from app.text.formats import FORMATS
from app.text.media_type import detect_media_type

router = APIRouter(prefix="/v1", tags=["documents"])

IdempotencyKey = Annotated[str | None, Header(max_length=200, pattern=r"^[\x21-\x7e]+$")]
_TITLE_CHARACTERS: Final = 500
_MOST_IDS: Final = 500  # an address of 500 ids has 20 kB; servers refuse longer ones than 64 kB
_DELETED_AT_ONCE: Final = 2_000  # documents in one transaction: some 0.2 s, far below PostgreSQL's statement timeout
Title = Annotated[str | None, Plain, Form(max_length=_TITLE_CHARACTERS, pattern=NO_NUL)]
Source = Annotated[str | None, Plain, Form(max_length=2000, pattern=NO_NUL)]

_log = logging.getLogger(__name__)


@router.post("/documents", status_code=202, response_model=AcceptedOut, response_model_exclude_none=True)
def add(body: DocumentIn, service: ServiceDep, principal: Writing, idempotency_key: IdempotencyKey = None) -> AcceptedOut:
    """Accept a text. The same title and text in one collection is one document, however often it is sent; what comes from the same source
    replaces the older version as soon as it is indexed."""
    allowed_collections(principal, (body.collection,))
    return _accept(service, _text(service, body), principal, idempotency_key)


@router.post("/documents/upload", status_code=202, response_model=AcceptedOut, response_model_exclude_none=True)
def upload(
    service: ServiceDep,
    principal: Writing,
    file: Annotated[UploadFile, File()],
    collection: Annotated[CollectionName, Form()] = DEFAULT_COLLECTION,
    title: Title = None,
    source: Source = None,
    metadata: Annotated[str | None, Form(max_length=50_000, description="A JSON object of texts.")] = None,
    idempotency_key: IdempotencyKey = None,
) -> AcceptedOut:
    """Accept a file of one of the formats that `GET /v1/formats` lists. The same bytes in one collection are one document, whatever their name;
    a file of the same source, or else of the same name, replaces the older version as soon as it is indexed."""
    allowed_collections(principal, (collection,))
    return _accept(service, _file(service, file, collection, title, source, metadata), principal, idempotency_key)


@router.put("/documents/{document_id}", status_code=202, response_model=AcceptedOut, response_model_exclude_none=True)
def put(document_id: str, body: DocumentIn, service: ServiceDep, principal: Writing) -> AcceptedOut:
    """Send a newer version of a document, as a text. The older version stays searchable until the newer one is indexed; from now
    on both ids name the document. It stays in its collection."""
    return _put(service, document_id, _text(service, body), principal)


@router.put("/documents/{document_id}/upload", status_code=202, response_model=AcceptedOut, response_model_exclude_none=True)
def put_file(
    document_id: str,
    service: ServiceDep,
    principal: Writing,
    file: Annotated[UploadFile, File()],
    title: Title = None,
    source: Source = None,
    metadata: Annotated[str | None, Form(max_length=50_000, description="A JSON object of texts.")] = None,
) -> AcceptedOut:
    """Send a newer version of a document, as a file."""
    return _put(service, document_id, _file(service, file, DEFAULT_COLLECTION, title, source, metadata), principal)


@router.get("/documents", response_model=DocumentsOut)
def list_documents(
    service: ServiceDep,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    collection: Annotated[str | None, Query(max_length=64, pattern=NO_NUL)] = None,
    status: documents.Status | None = None,
    q: Annotated[str | None, Query(max_length=200, pattern=NO_NUL, description="Part of a title or source.")] = None,
) -> DocumentsOut:
    """Documents, newest first; `next` is the cursor of the following page, null at the end."""
    collections = allowed_collections(principal, (collection,) if collection else None)
    with service.catalog.read() as session:
        page = documents.page(session, limit=limit, cursor=cursor, collections=collections, status=status, named=q)
    return DocumentsOut(items=[_out(document) for document in page.items], next=page.next)


@router.get("/documents/{document_id}", response_model=DocumentOut)
async def get(document_id: str, service: ServiceDep, principal: Reader) -> Response:
    """One document's state. Finished documents come from the cache, which ends with the next change of the index."""

    def read() -> Document:
        with service.catalog.read() as session:
            return documents.get(session, document_id, principal.collections)

    key = _cache_key(service, document_id)
    cached = await service.cache.shared_get(key)
    if cached is not None:
        collection, _, body = cached.partition(b"\n")
        if principal.collections is None or collection.decode() in principal.collections:
            return json_bytes(body, "hit-redis")
    document = await to_thread.run_sync(read)
    body = _out(document).model_dump_json(exclude_none=True).encode()
    if document.status == "indexed":
        await service.cache.shared_put(key, document.collection.encode() + b"\n" + body)
    return json_bytes(body, "miss")


@router.delete("/documents/{document_id}", status_code=204)
async def delete(document_id: str, service: ServiceDep, principal: Writing) -> Response:
    """Delete a document. Once this has answered, no process shows it in a listing, a search or an answer."""

    def forget() -> list[str]:
        with service.catalog.write() as session:
            gone = documents.delete(session, document_id, principal.collections)
        for one in gone:
            service.jobs.remove(one)
        return gone

    for one in await to_thread.run_sync(forget):
        audit.write_audit_line("document-deleted", principal, document_id=one)
    await seen_by_all()
    return Response(status_code=204)


@router.delete("/documents", response_model=DeletedOut)
async def delete_many(
    service: ServiceDep,
    principal: Writing,
    id: Annotated[list[str] | None, Query(max_length=_MOST_IDS)] = None,
    collection: Annotated[CollectionName | None, Query()] = None,
    source: Annotated[str | None, Query(max_length=2000, pattern=NO_NUL)] = None,
) -> DeletedOut:
    """Delete every document that fulfils all given conditions: one of these ids, this collection, this source. Ids that do not
    exist, or that this key may not see, are ignored. Once this has answered, no process shows any of the deleted documents."""
    if id is None and collection is None and source is None:
        raise InvalidRequest("Say what to delete: id (several times if you like), collection, or source.")
    collections = allowed_collections(principal, (collection,) if collection is not None else None)
    return await _forget(service, principal, ids=id, collections=collections, source=source)


@router.delete("/collections/{name}", response_model=DeletedOut)
async def delete_collection(name: str, service: ServiceDep, principal: Writing) -> DeletedOut:
    """Delete a collection with every document in it. Once this has answered, no process shows any of them."""
    name = name.replace("\x00", "?")
    return await _forget(service, principal, ids=None, collections=allowed_collections(principal, (name,)), source=None)


@router.get("/documents/{document_id}/passages", response_model=PassagesOut)
async def passages(
    document_id: str,
    service: ServiceDep,
    principal: Reader,
    first: Annotated[int, Query(ge=0, le=2**31, description="The ordinal of the first passage.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    around: Annotated[
        int | None, Query(ge=0, le=2**31, description="This passage with its neighbours, instead of a page.")
    ] = None,
    neighbours: Annotated[int, Query(ge=0, le=20, description="How many before and after it.")] = 2,
) -> PassagesOut:
    """A document's passages in order, from the search index: a page of them, or one passage with its neighbours."""

    def read() -> Document:
        with service.catalog.read() as session:
            return documents.exact(session, document_id, principal.collections)

    document = await to_thread.run_sync(read)
    if around is not None:
        first, limit = max(0, around - neighbours), min(around, neighbours) + 1 + neighbours
    end = min(first + limit, document.passages)
    ids = [f"{document.id}:{ordinal}" for ordinal in range(first, end)]
    found = await service.reader.passages(ids) if ids else {}
    items = [
        PassageOut(
            ordinal=one.ordinal, passage=one.text, page=int(page) if (page := one.metadata.get(PAGE, "")).isdecimal() else None
        )
        for one in (found[passage_id] for passage_id in ids if passage_id in found)
    ]
    more = around is None and end < document.passages
    return PassagesOut(
        document_id=document.id, title=document.title, total=document.passages, items=items, next=end if more else None
    )


@router.post("/documents/{document_id}/retry", status_code=202, response_model=AcceptedOut, response_model_exclude_none=True)
def retry(document_id: str, service: ServiceDep, principal: Writing) -> AcceptedOut:
    """Try a failed document again."""
    with service.catalog.write() as session:
        accepted = documents.retry(session, document_id, principal.collections)
    audit.write_audit_line("document-retried", principal, document_id=document_id)
    return _enqueue(service, accepted, principal)


@router.get("/formats", response_model=FormatsOut)
def formats(_: Reader) -> FormatsOut:
    """The file formats that can be read, with their suffixes."""
    return FormatsOut(items=[FormatOut(name=one.name, media_type=one.media_type, suffixes=list(one.suffixes)) for one in FORMATS])


@router.get("/collections", response_model=CollectionsOut)
def collections(service: ServiceDep, principal: Reader) -> CollectionsOut:
    """The collections this key may see, with their number of documents."""
    with service.catalog.read() as session:
        found = documents.collection_counts(session, principal.collections)
    return CollectionsOut(items=[CollectionOut(name=name, documents=number) for name, number in sorted(found.items())])


def _accept(service: Service, submission: Submission, principal: Principal, idempotency_key: str | None) -> AcceptedOut:
    with service.catalog.write() as session:
        accepted = documents.accept(session, submission, key_id=principal.key_id, idempotency_key=idempotency_key)
    if accepted.created:
        audit.write_audit_line("document-added", principal, document_id=accepted.id, collection=submission.collection)
    return _enqueue(service, accepted, principal)


def _put(service: Service, document_id: str, submission: Submission, principal: Principal) -> AcceptedOut:
    with service.catalog.write() as session:
        accepted = documents.put(session, document_id, submission, principal.collections)
    audit.write_audit_line("document-replaced", principal, document_id=document_id, by=accepted.id)
    return _enqueue(service, accepted, principal)


def _enqueue(service: Service, accepted: AcceptedDocument, principal: Principal) -> AcceptedOut:
    if accepted.created:
        service.jobs.ingest(accepted.id, accepted.revision, principal.key_id)
    return AcceptedOut(id=accepted.id, status=accepted.status, known_as=accepted.known_as)


async def _forget(
    service: Service, principal: Principal, *, ids: list[str] | None, collections: tuple[str, ...] | None, source: str | None
) -> DeletedOut:
    def some() -> list[str]:
        wanted = None if ids is None else [one.replace("\x00", "?") for one in ids]
        with service.catalog.write() as session:
            return documents.delete_many(session, ids=wanted, collections=collections, source=source, limit=_DELETED_AT_ONCE)

    deleted = 0
    while gone := await to_thread.run_sync(some):
        deleted += len(gone)
        audit.write_audit_line("documents-deleted", principal, document_ids=gone)
    if deleted:
        await seen_by_all()  # the worker's housekeeping finds what is to be removed from the index
    return DeletedOut(deleted=deleted)


def _text(service: Service, body: DocumentIn) -> Submission:
    text = body.text.encode()
    _check_size(service, len(text))
    return Submission(
        title=body.title,
        body=text,
        media_type="text/plain",
        filename=None,
        collection=body.collection,
        source=body.source,
        metadata=body.metadata,
        content_sha256=hashlib.sha256(body.title.encode() + b"\x00" + text).hexdigest(),
    )


def _file(
    service: Service, file: UploadFile, collection: str, title: str | None, source: str | None, metadata: str | None
) -> Submission:
    content = file.file.read(service.settings.max_document_bytes + 1)
    _check_size(service, len(content))
    if not content:
        raise InvalidRequest("The file is empty.")
    # Only the last component of the name is kept, and only as text: no file is ever stored under a name that a client chose.
    # The charset of the form's part (UTF-7, for example) can produce characters that no database stores.
    said = (file.filename or "upload").encode("utf-8", "replace").decode().replace("\\", "/").replace("\x00", "")
    name = PurePosixPath(one_line(said)).name or "upload"
    return Submission(
        title=(title or "").strip(),  # without one the worker takes the title in the file, or the file's name
        body=content,
        media_type=detect_media_type(name, file.content_type, content[:4096]),
        filename=name[:_TITLE_CHARACTERS],
        collection=collection,
        source=source,
        metadata=_metadata(metadata),
        content_sha256=hashlib.sha256(content).hexdigest(),
    )


def _metadata(said: str | None) -> dict[str, str]:
    if said is None:
        return {}
    try:
        return METADATA.validate_json(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(
            f'The form field metadata must be a JSON object of texts, such as {{"year": "2026"}}: {where or "it"}: {first["msg"]}.'
        ) from None


def _cache_key(service: Service, document_id: str) -> str:
    """The cache key of a document's state. The state is cached in Redis alone, once for all callers. The key contains the
    generation, which every deletion changes. The cached value starts with the document's collection."""
    return service.cache.key("document", *service.answering.scope(document_id))


def _check_size(service: Service, size_bytes: int) -> None:
    limit = service.settings.max_document_bytes
    if size_bytes > limit:
        raise TooLarge(f"The document is larger than {limit} bytes, the limit of a document.")


def _out(document: Document) -> DocumentOut:
    return DocumentOut(
        id=document.id,
        title=document.title,
        source=document.source,
        collection=document.collection,
        metadata=dict(document.metadata),
        media_type=document.media_type,
        bytes=document.bytes,
        status=document.status,
        progress=document.progress,
        passages=document.passages,
        error=DocumentError.model_validate(document.error) if document.error else None,
        warnings=list(document.warnings),
        created_at=document.created_at,
        updated_at=document.updated_at,
    )
