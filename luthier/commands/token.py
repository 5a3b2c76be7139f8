"""`luthier token create|list|revoke`: access tokens, straight in the data folder; a running server obeys at once."""

import difflib
import json
import re
import time
from datetime import datetime

import click
from sqlalchemy import Connection

from luthier.commands.command_line import Options
from luthier.commands.data_folder import opened
from luthier.commands.durations import parse
from luthier.errors import DoesNotExist, InvalidRequest, shown
from luthier.store import accounts, resources, tokens

USER_ID = re.compile(r"[A-Za-z0-9_-]{1,48}")


@click.group("token")
def command() -> None:
    """Make, list and revoke access tokens.

    A token is shown once, when it is made; only a hash of it is kept.
    """


@command.command("create")
@click.option("--user", metavar="ID", help="Whom it speaks for; the only user where there is one.")
@click.option("--new-user", is_flag=True, help="Make that user first.")
@click.option("--app", metavar="ID", help="The only app that it reaches; else all of the user's.")
@click.option("--scopes", default="All", show_default=True, metavar="A,B", help="What it may do, Models_Get for one.")
@click.option("--expires", metavar="WHEN", help="After a time (12h, 30d) or at a date (2027-01-31); else never.")
@click.option("--description", default="", help="A word to know it by.")
@click.option("--json", "as_json", is_flag=True, help='The last line is {"user_id", "token"}.')
@click.pass_obj
def create(
    options: Options,
    user: str | None,
    new_user: bool,
    app: str | None,
    scopes: str,
    expires: str | None,
    description: str,
    as_json: bool,
) -> None:
    """Make a token and show it, this once.

    \b
    luthier token create --expires 30d --description laptop
    luthier token create --app pets --scopes Models_Get,Predict
    """
    wanted, expires_at = _scopes(scopes), _expiry(expires)
    with opened(options.settings(), make=True) as database, database.write() as connection:
        user_id = _user_to_serve(connection, user, new_user)
        seq, app_seq = _seq_of(connection, user_id), _app_seq(connection, user_id, app)
        token, token_id = tokens.make(
            connection, seq, description=description, scopes=wanted, app=app_seq, expires_at=expires_at
        )
    if as_json:
        click.echo(json.dumps({"user_id": user_id, "token": token}))
        return
    click.echo(f"Token {token_id} of user {user_id}. It is shown this once; keep it:\n")
    click.echo(f"export CLARIFAI_USER_ID={user_id}\nexport CLARIFAI_PAT={token}")


@command.command("list")
@click.option("--user", metavar="ID", help="Only this user's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.pass_obj
def list_tokens(options: Options, user: str | None, as_json: bool) -> None:
    """Every token: its id, how it begins, whom it speaks for, what it may do, until when."""
    with opened(options.settings()) as database, database.read() as connection:
        known = [user] if user else accounts.ids(connection)
        rows = [row for id in known for row in tokens.list_for(connection, _seq_of(connection, id))]
    if as_json:
        click.echo(json.dumps([_as_dict(row) for row in rows], indent=2))
        return
    for row in rows:
        click.echo(f"{row.id}  {row.prefix}…  {row.user_id}  {_state(row)}  {','.join(row.scopes)}  {row.description}")
    if not rows:
        click.echo("No tokens yet; `luthier token create` makes one.")


@command.command("revoke")
@click.argument("token")
@click.pass_obj
def revoke(options: Options, token: str) -> None:
    """End a token now. TOKEN is its id, as `luthier token list` shows it, or the token itself."""
    with opened(options.settings()) as database, database.write() as connection:
        row = tokens.resolve(connection, token)
        if not tokens.revoke(connection, row.id if row else token):
            raise DoesNotExist(f"there is no token {shown(token, 14)}; `luthier token list` shows their ids")
    click.echo(f"Revoked {row.id if row else token}.")


def _user_to_serve(connection: Connection, wanted: str | None, make: bool) -> str:
    """Id of the user to make a token for. In a new data folder the first user is made, as the first start does."""
    if make:
        return _new_user(connection, wanted)
    known = accounts.ids(connection)
    if not known:
        accounts.add(connection, tokens.FIRST_USER)
        known = [tokens.FIRST_USER]
    if wanted is None and len(known) > 1:
        raise InvalidRequest(f"--user is missing and there are several: {', '.join(known[:20])}")
    return wanted or known[0]


def _new_user(connection: Connection, id: str | None) -> str:
    if not id or not USER_ID.fullmatch(id):
        raise InvalidRequest(f"--user {shown(id or '')!r}: give the new user an id of 1 to 48 letters, digits, - and _")
    if accounts.find(connection, id) is not None:
        raise InvalidRequest(f"--new-user: user {id} is there already; leave --new-user out")
    accounts.add(connection, id)
    return id


def _seq_of(connection: Connection, user_id: str) -> int:
    seq = accounts.find(connection, user_id)
    if seq is None:
        known = ", ".join(accounts.ids(connection)[:20]) or "none"
        raise DoesNotExist(f"--user {shown(user_id)}: there is no such user (known: {known}); --new-user makes one")
    return seq


def _app_seq(connection: Connection, user_id: str, app: str | None) -> int | None:
    if app is None:
        return None
    row = resources.find_app(connection, user_id, app)
    if row is None:
        raise DoesNotExist(f"--app {shown(app)}: user {user_id} has no such app")
    return row.seq


def _scopes(text: str) -> list[str]:
    wanted = [scope.strip() for scope in text.split(",") if scope.strip()]
    if not wanted:
        raise InvalidRequest("--scopes is empty; give All or names separated by commas")
    if wanted == ["All"]:
        return wanted
    known = _known_scopes()
    for scope in wanted:
        if scope not in known:
            near = difflib.get_close_matches(scope, known, n=3)
            raise InvalidRequest(
                f"--scopes {shown(scope)}: unknown; {'near: ' + ', '.join(near) if near else 'All is every one'}"
            )
    return wanted


def _known_scopes() -> list[str]:
    from luthier.wire.methods import METHODS  # the descriptors of the whole service: loaded only for this

    return sorted({"All", *(scope for method in METHODS for scope in method.scopes)})


def _expiry(text: str | None) -> float | None:
    """Unix seconds. A time that has passed is refused: such a token would never work."""
    if text is None:
        return None
    try:
        at = time.time() + parse(text) if text[-1:].isalpha() else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        message = f"--expires {shown(text)}: give a time such as 12h or 30d, or a date such as 2027-01-31"
        raise InvalidRequest(message) from error
    if at <= time.time():
        raise InvalidRequest(f"--expires {shown(text)}: that has passed")
    return at


def _state(row: tokens.TokenRow) -> str:
    if row.revoked_at is not None:
        return f"revoked {_date(row.revoked_at)}"
    if row.expires_at is None:
        return "valid"
    word = "expired" if row.expires_at <= time.time() else "valid until"
    return f"{word} {_date(row.expires_at)}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _as_dict(row: tokens.TokenRow) -> dict[str, object]:
    return {
        "id": row.id,
        "prefix": row.prefix,
        "user_id": row.user_id,
        "state": _state(row),
        "scopes": row.scopes,
        "app_scoped": row.app is not None,
        "description": row.description,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
    }
