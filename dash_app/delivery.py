"""How answers travel: what a browser may keep, and for how long; and text in gzip, which a slow line is glad of."""

from __future__ import annotations

import gzip
from functools import lru_cache

from flask import Flask, Response, request

_YEAR = "public, max-age=31536000, immutable"
_TEXT = ("text/", "application/json", "application/javascript", "image/svg+xml")
_SMALL = 1000  # bytes; below, the headers weigh more than what is saved


def register(server: Flask) -> None:
    """Say how long answers may be kept, and pack text. Goes after everything else that touches an answer."""
    server.after_request(_packed)
    server.after_request(_kept)  # runs first


def _kept(response: Response) -> Response:
    """Bundles carry their version in their name and assets their time in the query, so both may be kept for good."""
    if response.status_code == 200:
        bundle = request.path.startswith("/_dash-component-suites/") and response.cache_control.max_age
        asset = request.path.startswith("/assets/")
        if bundle or (asset and "m" in request.args):
            response.headers["Cache-Control"] = _YEAR
        elif asset:  # named by a style sheet, without its time
            response.headers["Cache-Control"] = "public, max-age=86400"
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def _packed(response: Response) -> Response:
    if not (response.mimetype or "").startswith(_TEXT) or _attached(response):
        return response
    response.vary.add("Accept-Encoding")
    if response.status_code != 200 or not request.accept_encodings.quality("gzip") or request.method == "HEAD":
        return response
    response.direct_passthrough = False
    data = response.get_data()
    if len(data) >= _SMALL:
        same = request.path.startswith(("/_dash-component-suites/", "/assets/"))
        response.set_data(_pack_once(data) if same else gzip.compress(data, 5, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        if tag := response.get_etag()[0]:
            response.set_etag(tag, weak=True)  # the same, byte by byte, only when unpacked
    return response


def _attached(response: Response) -> bool:
    """Files of a known length, which would have to be read into memory whole."""
    return response.headers.get("Content-Disposition", "").startswith("attachment")


@lru_cache(maxsize=128)  # there are not so many bundles and assets
def _pack_once(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)
