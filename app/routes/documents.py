"""/v1/documents and /v1/collections: what is known, and what is to become known."""

from __future__ import annotations

import hashlib
import logging
from pathlib import PurePosixPath
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, File, Form, Header, Query, UploadFile
from fastapi.responses import Response

from app import audit
from app.catalog import documents
from app.catalog.documents import Accepted, Document, Submission
from app.catalog.keys import Principal
from app.dependencies import Parts, Reader, Service, Writing
from app.errors import InvalidRequest, TooLarge
from app.rag.parse import detect_media_type
from app.routes.respond import json_bytes
from app.schemas import (
    DEFAULT_COLLECTION,
    NO_NUL,
    AcceptedOut,
    CollectionName,
    CollectionOut,
    CollectionsOut,
    DocumentError,
    DocumentIn,
    DocumentOut,
    DocumentsOut,
)
from app.security import allowed_collections

router = APIRouter(prefix="/v1", tags=["documents"])

IdempotencyKey = Annotated[str | None, Header(max_length=200, pattern=r"^[\x21-\x7e]+$")]
_TITLE_CHARACTERS: Final = 500

_log = logging.getLogger(__name__)


@router.post("/documents", status_code=202, response_model=AcceptedOut)
def add(body: DocumentIn, service: Parts, principal: Writing, idempotency_key: IdempotencyKey = None) -> AcceptedOut:
    """Accept a text. The same title and text in one collection is one document, however often it is sent."""
    allowed_collections(principal, (body.collection,))
    text = body.text.encode()
    _check_size(service, len(text))
    submission = Submission(
        title=body.title,
        body=text,
        media_type="text/plain",
        filename=None,
        collection=body.collection,
        source=body.source,
        metadata=body.metadata,
        content_sha256=hashlib.sha256(body.title.encode() + b"\x00" + text).hexdigest(),
    )
    return _accept(service, submission, principal, idempotency_key)


@router.post("/documents/upload", status_code=202, response_model=AcceptedOut)
def upload(
    service: Parts,
    principal: Writing,
    file: Annotated[UploadFile, File()],
    collection: Annotated[CollectionName, Form()] = DEFAULT_COLLECTION,
    title: Annotated[str | None, Form(max_length=_TITLE_CHARACTERS, pattern=NO_NUL)] = None,
    source: Annotated[str | None, Form(max_length=2000, pattern=NO_NUL)] = None,
    idempotency_key: IdempotencyKey = None,
) -> AcceptedOut:
    """Accept a text, Markdown, HTML or PDF file. The same bytes in one collection are one document, whatever their name."""
    allowed_collections(principal, (collection,))
    content = file.file.read(service.settings.max_document_bytes + 1)
    _check_size(service, len(content))
    if not content:
        raise InvalidRequest("The file is empty.")
    # Only the last part of the name is kept, and only as text: nothing is ever stored under a name a client chose.
    # The part's own charset (UTF-7, say) can make characters that no database stores.
    said = (file.filename or "upload").encode("utf-8", "replace").decode().replace("\\", "/").replace("\x00", "")
    name = PurePosixPath(said).name or "upload"
    submission = Submission(
        title=(title or "").strip(),  # none given: the file's own, which the worker finds, or its name
        body=content,
        media_type=detect_media_type(name, file.content_type, content[:4096]),
        filename=name[:_TITLE_CHARACTERS],
        collection=collection,
        source=source,
        metadata={},
        content_sha256=hashlib.sha256(content).hexdigest(),
    )
    return _accept(service, submission, principal, idempotency_key)


@router.get("/documents", response_model=DocumentsOut)
def list_documents(
    service: Parts,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    collection: Annotated[str | None, Query(max_length=64, pattern=NO_NUL)] = None,
    status: documents.Status | None = None,
) -> DocumentsOut:
    """Documents, newest first; `next` is the cursor of the following page, null at the end."""
    collections = allowed_collections(principal, (collection,) if collection else None)
    with service.catalog.read() as session:
        page = documents.page(session, limit=limit, cursor=cursor, collections=collections, status=status)
    return DocumentsOut(items=[_out(document) for document in page.items], next=page.next)


@router.get("/documents/{document_id}", response_model=DocumentOut)
async def get(document_id: str, service: Parts, principal: Reader) -> Response:
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
async def delete(document_id: str, service: Parts, principal: Writing) -> Response:
    """Forget a document: gone from the catalog at once, from search within a second or two."""

    def forget() -> None:
        with service.catalog.write() as session:
            documents.delete(session, document_id, principal.collections)
        service.jobs.remove(document_id)

    await to_thread.run_sync(forget)
    audit.record("document-deleted", principal, document_id=document_id)
    await service.cache.shared_drop(_cache_key(service, document_id))
    return Response(status_code=204)


@router.post("/documents/{document_id}/retry", status_code=202, response_model=AcceptedOut)
def retry(document_id: str, service: Parts, principal: Writing) -> AcceptedOut:
    """Try a failed document again."""
    with service.catalog.write() as session:
        accepted = documents.retry(session, document_id, principal.collections)
    audit.record("document-retried", principal, document_id=document_id)
    return _enqueue(service, accepted)


@router.get("/collections", response_model=CollectionsOut)
def collections(service: Parts, principal: Reader) -> CollectionsOut:
    """The collections this key may see, with their number of documents."""
    with service.catalog.read() as session:
        found = documents.collection_counts(session, principal.collections)
    return CollectionsOut(items=[CollectionOut(name=name, documents=number) for name, number in sorted(found.items())])


def _accept(service: Service, submission: Submission, principal: Principal, idempotency_key: str | None) -> AcceptedOut:
    with service.catalog.write() as session:
        accepted = documents.accept(session, submission, key_id=principal.key_id, idempotency_key=idempotency_key)
    if accepted.created:
        audit.record("document-added", principal, document_id=accepted.id, collection=submission.collection)
    return _enqueue(service, accepted)


def _enqueue(service: Service, accepted: Accepted) -> AcceptedOut:
    if accepted.created:
        service.jobs.ingest(accepted.id, accepted.revision)
    return AcceptedOut(id=accepted.id, status=accepted.status)


def _cache_key(service: Service, document_id: str) -> str:
    """Kept in Redis alone and once for all callers, so that one deletion is everybody's. The value starts with the collection."""
    return service.cache.key("document", *service.scope(document_id))


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
        created_at=document.created_at,
        updated_at=document.updated_at,
    )
