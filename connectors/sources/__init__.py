"""The connectors, one module a source; `docs/guides/connectors.md` walks through adding one."""
