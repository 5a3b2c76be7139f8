"""What every RPC function is given: who calls, and what it may use. Next: `apps` for a short example of a noun."""

from dataclasses import dataclass

from luthier.predictors.client import PredictorsClient
from luthier.settings import Settings
from luthier.store.blobs import Blobs
from luthier.store.database import Database


@dataclass(frozen=True)
class Caller:
    """Whom a token speaks for. `app` is the seq of the one app that the token reaches, None for all of the user's."""

    user: int  # seq
    user_id: str
    token_id: str
    scopes: frozenset[str]  # names of the wire's scopes; {"All"} for every one
    app: int | None = None


@dataclass(frozen=True)
class Context:
    caller: Caller
    database: Database
    blobs: Blobs
    predictors: PredictorsClient
    settings: Settings
    request_id: str = ""
