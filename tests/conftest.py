"""Fixtures every test may ask for."""

from tests.servers import database, database_template, fresh_nats, nats_server, postgres_url

__all__ = ["database", "database_template", "fresh_nats", "nats_server", "postgres_url"]
