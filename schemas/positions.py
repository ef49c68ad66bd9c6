"""Where a record lies in the event log, on the wire."""

from pydantic import BaseModel, ConfigDict, Field


class LogPosition(BaseModel):
    """Where a record lies in the event log."""

    model_config = ConfigDict(frozen=True)

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
