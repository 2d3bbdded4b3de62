"""What plugins import: this module, and nothing else of vidops.

from vidops.api import HandlerType, Options, hookimpl

class Hello(Options):
    greeting: str = "hello"

def build(options, context):
    async def app(scope, receive, send): ...
    return app

@hookimpl
def vidops_handlers():
    return [HandlerType("hello", Hello, build, summary="Says hello.")]
"""

from vidops.asgi import (
    DIRECT,
    GRANTS,
    TENANT,
    USER,
    Direct,
    Headers,
    direct_of,
    header,
    json_bytes,
    may_do,
    may_see,
    nearest,
    problem,
    query,
    respond,
    respond_json,
    respond_problem,
    restricted,
    tenant_of,
    until_disconnect,
    user_of,
)
from vidops.errors import PermanentError, TemporaryError, VidopsError
from vidops.fetch import Fetched, Url, fetch
from vidops.hookspecs import hookimpl
from vidops.ports import Cameras, ControlPlane, DeviceFacts, Frame, FrameSubscription, Recordings
from vidops.resources.catalogue import (
    ASGIApp,
    CaptureBuild,
    CaptureContext,
    CaptureType,
    Closing,
    Deliver,
    EventHookContext,
    EventHookType,
    GatewayContext,
    HandlerType,
    Message,
    MiddlewareType,
    NodeContext,
    NodeType,
    Options,
    Receive,
    Reference,
    Scope,
    Send,
    SourceBuild,
    SourceContext,
    SourceType,
    TenantDirectoryType,
    UploadType,
)
from vidops.resources.identity import ACTIONS, Action, Grant, Tenant, TenantContext, TenantDirectory, User
from vidops.resources.layout import Layout
from vidops.resources.specs import FFMPEG, PYTHON, RUN_ID, SECRET_INPUT, Program, SecretInput, SecretRef
from vidops.stack.model import CameraName, Capture, Device, EventHook, Mode, Node, TenantDirectoryOptions, Upload
from vidops.stack.scalars import Duration, Name, PositiveDuration, Size, VideoSize

__all__ = [
    "ACTIONS",
    "DIRECT",
    "FFMPEG",
    "GRANTS",
    "PYTHON",
    "RUN_ID",
    "SECRET_INPUT",
    "TENANT",
    "USER",
    "ASGIApp",
    "Action",
    "CameraName",
    "Cameras",
    "Capture",
    "CaptureBuild",
    "CaptureContext",
    "CaptureType",
    "Closing",
    "ControlPlane",
    "Deliver",
    "Device",
    "DeviceFacts",
    "Direct",
    "Duration",
    "EventHook",
    "EventHookContext",
    "EventHookType",
    "Fetched",
    "Frame",
    "FrameSubscription",
    "GatewayContext",
    "Grant",
    "HandlerType",
    "Headers",
    "Layout",
    "Message",
    "MiddlewareType",
    "Mode",
    "Name",
    "Node",
    "NodeContext",
    "NodeType",
    "Options",
    "PermanentError",
    "PositiveDuration",
    "Program",
    "Receive",
    "Recordings",
    "Reference",
    "Scope",
    "SecretInput",
    "SecretRef",
    "Send",
    "Size",
    "SourceBuild",
    "SourceContext",
    "SourceType",
    "TemporaryError",
    "Tenant",
    "TenantContext",
    "TenantDirectory",
    "TenantDirectoryOptions",
    "TenantDirectoryType",
    "Upload",
    "UploadType",
    "Url",
    "User",
    "VideoSize",
    "VidopsError",
    "direct_of",
    "fetch",
    "header",
    "hookimpl",
    "json_bytes",
    "may_do",
    "may_see",
    "nearest",
    "problem",
    "query",
    "respond",
    "respond_json",
    "respond_problem",
    "restricted",
    "tenant_of",
    "until_disconnect",
    "user_of",
]
