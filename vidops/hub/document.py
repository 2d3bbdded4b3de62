"""What the hub is told of a camera: `cameras/<name>.json`, and `apply` on its socket. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vidops.hub.lifecycle import Rules
from vidops.resources.resource import JSON
from vidops.resources.restart import RestartPolicy
from vidops.resources.specs import OnDemand
from vidops.stack.scalars import Name

Seconds = Annotated[float, Field(gt=0, le=86400.0)]


class CameraDocument(BaseModel):
    """Keys it does not know are passed over: a newer control plane may write for an older hub."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    program: str | None
    fingerprint: Annotated[str, Field(max_length=128)] = ""
    missing: str = ""
    reason: Annotated[str, Field(max_length=64)] = "DeviceMissing"
    device: Annotated[str, Field(max_length=1000)] = ""
    size: Annotated[str, Field(pattern=r"^(?:[1-9][0-9]{0,4}x[1-9][0-9]{0,4})?$")] = ""
    controls: Annotated[dict[str, bool | int | str], Field(max_length=200)] = Field(default_factory=dict)
    on_demand: OnDemand | None = None
    start_timeout: Seconds = 10.0
    stall_timeout: Seconds = 5.0
    restart: RestartPolicy = RestartPolicy()
    description: JSON = Field(default_factory=dict)

    @model_validator(mode="after")
    def _its_own_program(self) -> CameraDocument:
        if self.program not in (None, f"source.{self.name}"):
            raise ValueError(f"the program of camera {self.name} is source.{self.name}, not {self.program}")
        return self

    @property
    def rules(self) -> Rules:
        return Rules(
            program=self.program,
            fingerprint=self.fingerprint,
            missing=self.missing,
            reason=self.reason,
            device=self.device,
            size=self.size,
            close_after=self.on_demand.close_after if self.on_demand else None,
            start_timeout=self.start_timeout,
            stall_timeout=self.stall_timeout,
            restart=self.restart,
        )


def parse_camera(data: Any) -> CameraDocument:
    """Raises `ValueError`, which says on one line what is wrong with it."""
    try:
        return CameraDocument.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else str(first["msg"])) from None
