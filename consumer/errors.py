"""One tree of errors. The class says the reaction; the message says what is wrong and what to do.

::

    BinmirrorError
    ├── SettingsError             exit 2, one line
    ├── TransientError            wait with backoff and try again; nothing is skipped
    │   ├── LogUnavailableError       the event log does not answer in time
    │   ├── TopicEmptiedError         the topic of entries lost what was published: publish everything
    │   └── ProjectionUnavailableError  the database does not answer, or asks to retry
    │       └── SchemaOutdatedError           it is not migrated (yet)
    ├── RecordRefusedError        the log refuses this record for good: set it aside
    ├── NotDurableError           stored nowhere: answer 503
    ├── FencedError               another worker owns the partition: back off, acquire again
    ├── DataRejectedError         the database refuses a value: isolate the record
    ├── CursorExpiredError        a follower's cursor is of another log or generation: it starts again
    └── StopError                 a person is needed: stop, not ready, say what to do
        ├── LogMismatchError          the log is not the one that the checkpoint knows
        ├── SchemaMismatchError       the database's schema is newer, or tables were lost
        └── HandlerLimitError         too many unexpected handler exceptions
"""


class BinmirrorError(Exception):
    """Root of all errors that binmirror raises on purpose."""


class SettingsError(BinmirrorError):
    """A setting is missing or wrong. Names the setting, what is wrong and an example. Exit 2."""


class TransientError(BinmirrorError):
    """It may work later: wait with backoff and jitter, then try again."""


class LogUnavailableError(TransientError):
    """The event log did not answer within its deadline, or refused for now."""


class TopicEmptiedError(TransientError):
    """The topic of entries holds less than was published to it: made anew, or records were lost."""


class ProjectionUnavailableError(TransientError):
    """The database is away, or aborted the transaction (deadlock, serialization, lock timeout)."""


class SchemaOutdatedError(ProjectionUnavailableError):
    """The projection has no tables yet, or an older schema: `binmirror migrate` makes it right."""


class RecordRefusedError(BinmirrorError):
    """The log refuses this very record for good (too large, for example); others go through."""


class NotDurableError(BinmirrorError):
    """Neither log nor spool took the record within the deadline. It may be stored nevertheless."""


class FencedError(BinmirrorError):
    """The checkpoint's epoch or offset is not the one held: another worker has taken over."""


class DataRejectedError(BinmirrorError):
    """The database refuses data of the batch (SQLSTATE classes 22 and 23); the batch was rolled back."""


class CursorExpiredError(BinmirrorError):
    """A cursor of "what changed since" that this projection cannot go on from: start again."""


class StopError(BinmirrorError):
    """Going on would lose or corrupt something. A person has to decide; the message says what to do."""


class LogMismatchError(StopError):
    """Not the log of the checkpoint: a restored file, a recreated topic, expired records."""


class SchemaMismatchError(StopError):
    """The projection's schema is newer than this version knows, or tables went missing under us."""


class HandlerLimitError(StopError):
    """So many handler exceptions that a bad deployment is likelier than bad events."""
