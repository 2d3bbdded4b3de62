"""Built-in uploads: where finished recordings are copied to."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import UploadType, hookimpl
from vidops_plugins.uploads import s3


@hookimpl
def vidops_uploads() -> Sequence[UploadType]:
    summary = "A bucket of Amazon S3, or of anything that speaks its protocol."
    return (UploadType("s3", s3.S3, s3.S3Sink, summary=summary),)
