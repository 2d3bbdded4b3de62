"""`type: s3`: a bucket, by boto3. Large files go in parts, and go on with the next one after whatever ended a try."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import Field

from vidops.api import PermanentError, SecretRef, Size, TemporaryError, Upload

LEAST_PART = 5 * 1024 * 1024
"""Bytes; S3's own limit for all parts but the last."""
ATTEMPTS = 3


class S3(Upload):
    """Copies into a bucket. What is there under the same name and of the same content is not sent again."""

    type: Literal["s3"]
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9!_.*'()/-]{0,200}$")] = ""
    """Goes before each name, for example `site-7/`."""
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s@/]+/?$")] | None = None
    """Of a server that is not Amazon's."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "us-east-1"
    access_key: SecretRef
    """The key's id."""
    secret_key: SecretRef
    part_size: Size = "16MiB"  # type: ignore[assignment]
    """Larger files go in parts of this; at least 5MiB. A part is what a broken connection may cost."""


class S3Sink:
    """`catalogue.Sink`."""

    def __init__(self, options: S3, secret: Callable[[SecretRef], str]) -> None:
        import boto3
        from botocore.config import Config

        self._options = options
        self._part = max(options.part_size, LEAST_PART)
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=options.endpoint,
            region_name=options.region,
            aws_access_key_id=secret(options.access_key),
            aws_secret_access_key=secret(options.secret_key),
            config=Config(retries={"max_attempts": ATTEMPTS}, connect_timeout=10, read_timeout=60, proxies={}),
        )

    def put(self, file: str, name: str, *, resume: str, remember: Callable[[str], None]) -> str:
        where = {"Bucket": self._options.bucket, "Key": f"{self._options.prefix}{name}"}
        with _told(where["Key"]), open(file, "rb") as content:
            size = os.fstat(content.fileno()).st_size
            mark = _digest(content)
            if not self._is_there(where, size, mark):
                self._send(where, content, size, mark, resume=resume, remember=remember)
            if not self._is_there(where, size, mark):
                raise TemporaryError(f"{where['Key']} is not there after it was sent", reason="NotConfirmed")
            return mark

    def _is_there(self, where: dict[str, str], size: int, mark: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            head = self._client.head_object(**where)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        return bool(head["ContentLength"] == size and head.get("Metadata", {}).get("sha256") == mark)

    def _send(
        self,
        where: dict[str, str],
        content: BinaryIO,
        size: int,
        mark: str,
        *,
        resume: str,
        remember: Callable[[str], None],
    ) -> None:
        content.seek(0)
        metadata = {"sha256": mark}
        if size <= self._part:
            self._client.put_object(**where, Body=content, ContentLength=size, Metadata=metadata)
            return
        sent = self._sent(where, resume) if resume else None
        if sent is None:
            resume = self._client.create_multipart_upload(**where, Metadata=metadata)["UploadId"]
            remember(resume)
            sent = {}
        parts: list[dict[str, Any]] = []
        while data := content.read(self._part):
            number = len(parts) + 1
            tag = sent.get(number)
            if tag != hashlib.md5(data, usedforsecurity=False).hexdigest():
                answer = self._client.upload_part(**where, UploadId=resume, PartNumber=number, Body=data)
                tag = str(answer["ETag"]).strip('"')
            parts.append({"ETag": tag, "PartNumber": number})
        self._client.complete_multipart_upload(**where, UploadId=resume, MultipartUpload={"Parts": parts})

    def _sent(self, where: dict[str, str], upload: str) -> dict[int, str] | None:
        """Parts that are there already, by number; None where the server does not know of the upload any more."""
        from botocore.exceptions import ClientError

        try:
            pages = self._client.get_paginator("list_parts").paginate(**where, UploadId=upload)
            return {int(p["PartNumber"]): str(p["ETag"]).strip('"') for page in pages for p in page.get("Parts", ())}
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchUpload", "404"):
                return None
            raise


def _digest(content: BinaryIO) -> str:
    return hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]


@contextmanager
def _told(key: str) -> Iterator[None]:
    """boto3's errors as ours. They name requests and keys of objects, no secrets."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.exceptions import ConnectionError as Unreachable

    try:
        yield
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        kind = PermanentError if 400 <= status < 500 and status not in (408, 429) else TemporaryError
        raise kind(f"{key}: {error}", reason="Refused") from None
    except (Unreachable, BotoCoreError) as error:
        raise TemporaryError(f"{key}: {error}", reason="Unreachable") from None
