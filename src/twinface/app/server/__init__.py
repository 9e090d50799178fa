"""The services over HTTP: REST, WebSocket and pages. Importing this loads no FastAPI; `create` does."""
