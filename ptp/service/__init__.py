"""The data layer as a service over HTTP: API, cache and monitoring. Needs the extra `serve`; the core never imports it."""
