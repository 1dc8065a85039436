"""Schema migrations, one Alembic history per database."""
