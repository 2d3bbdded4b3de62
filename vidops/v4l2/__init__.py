"""What the kernel says of video nodes, and takes from us: capabilities, modes, controls (userspace-api/media/v4l).

Own code, since the kept libraries are under the GPL (docs/design/devices.md). Nothing here opens a stream: a node may
be asked while another process streams from it.
"""
