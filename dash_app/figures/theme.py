"""How charts look, in light and in dark."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go  # type: ignore[import-untyped]

FONT = "'Inter', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Scheme:
    """One colour scheme; contrast of text and lines is at least 3:1 on `paper`."""

    paper: str
    text: str
    muted: str
    grid: str
    accent: str
    band: str
    band_open: str
    alert: str
    lines: tuple[str, ...]

    @property
    def template(self) -> go.layout.Template:
        """The Plotly template of this scheme."""
        axis = {
            "gridcolor": self.grid, "linecolor": self.grid, "zeroline": False, "ticks": "",
            "tickfont": {"color": self.muted, "size": 12}, "title": {"font": {"color": self.muted, "size": 12}},
        }  # fmt: skip
        return go.layout.Template(
            layout={
                "paper_bgcolor": "rgba(0,0,0,0)",
                "plot_bgcolor": "rgba(0,0,0,0)",
                "font": {"family": FONT, "color": self.text, "size": 13},
                "xaxis": {**axis, "showgrid": False, "spikecolor": self.muted, "spikethickness": 1, "spikedash": "dot"},
                "yaxis": axis,
                "hoverlabel": {
                    "bgcolor": self.paper, "bordercolor": self.grid, "font": {"family": FONT, "color": self.text},
                },
                "legend": {"font": {"color": self.text, "size": 12}},
                "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": self.muted, "activecolor": self.accent},
            }
        )  # fmt: skip


SCHEMES = {
    "light": Scheme(
        paper="#ffffff", text="#1b1f2a", muted="#667085", grid="#e9ecf2", accent="#4f46e5",
        band="rgba(79,70,229,0.10)", band_open="rgba(79,70,229,0.05)", alert="#d92d20",
        lines=("#0e9384", "#dc6803", "#c11574", "#1570ef", "#6941c6", "#4d7c0f", "#b42318", "#475467"),
    ),
    "dark": Scheme(
        paper="#171a23", text="#eceef4", muted="#98a1b3", grid="#282d3a", accent="#a5a3ff",
        band="rgba(142,138,255,0.16)", band_open="rgba(142,138,255,0.07)", alert="#ff7a6e",
        lines=("#2ed3b7", "#fdb022", "#f670c7", "#53b1fd", "#b692f6", "#a3e635", "#f97066", "#a4adbd"),
    ),
}  # fmt: skip
