"""The routes, a file a domain; each is a plain function that the framework runs in a thread."""

from ptp.service.routes import administration, health, page, progress, search, study, twitter

ROUTERS = tuple(part.router for part in (study, progress, search, twitter, administration, health, page))

__all__ = ["ROUTERS"]
