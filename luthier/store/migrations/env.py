"""What Alembic runs for every command; `migrate` in the package has put the connection where it is taken from here."""

from alembic import context

from luthier.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=context.config.attributes.get("batch", True),  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
