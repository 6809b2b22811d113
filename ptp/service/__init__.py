"""The data layer as a service over HTTP: API, cache and monitoring. The core never imports it."""
