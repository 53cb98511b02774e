"""Memory: the conversations, kept in one SQLite file by langgraph's checkpointer."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.sqlite import SqliteSaver

from agentlab.errors import MemoryStoreError, UnknownThreadError
from agentlab.private import make_private
from agentlab.view import questions

BUSY_S = 3.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversation:
    """A conversation as a list shows it: its first question, its turns, its last change (ISO)."""

    thread: str
    title: str
    turns: int
    changed: str


class Memory(SqliteSaver):
    """Keeps conversations; a turn that cannot be written is lost, its answer is not.

    `warning` says why the last write failed, once; whoever shows it clears it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning: str | None = None
        self._warned = False
        try:
            make_private(path)
            connection = sqlite3.connect(path, check_same_thread=False, timeout=BUSY_S)
        except (sqlite3.Error, OSError) as error:
            raise self._unreadable(error) from error
        super().__init__(connection)
        try:
            self.setup()
        except sqlite3.Error as error:
            connection.close()
            raise self._unreadable(error) from error

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, in place of the thread's earlier ones."""
        try:
            kept = super().put(config, checkpoint, metadata, new_versions)
            self._forget_before(kept)
        except sqlite3.Error as error:
            self._warn(error)
            return config
        return kept

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep the writes of a step."""
        try:
            super().put_writes(config, writes, task_id, task_path)
        except sqlite3.Error as error:
            self._warn(error)

    def messages(self, thread: str) -> list[AnyMessage]:
        """Read the messages of a conversation; empty for one that has not begun."""
        try:
            found = self.get_tuple({"configurable": {"thread_id": thread}})
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return list(found.checkpoint["channel_values"].get("messages", [])) if found else []

    def conversations(self, limit: int = 50) -> list[Conversation]:
        """List the conversations, the latest first."""
        query = (
            "SELECT thread_id FROM checkpoints WHERE checkpoint_ns = '' "
            "GROUP BY thread_id ORDER BY max(checkpoint_id) DESC LIMIT ?"
        )
        try:
            with self.lock:
                threads = [row[0] for row in self.conn.execute(query, (limit,))]
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return [self.conversation(thread) for thread in threads]

    def conversation(self, thread: str) -> Conversation:
        """Describe one conversation; raise UnknownThreadError if there is none of that name."""
        found = self.get_tuple({"configurable": {"thread_id": thread}})
        if found is None:
            raise UnknownThreadError(
                f"There is no conversation {thread!r}: `/threads` in agentlab chat lists them."
            )
        asked = questions(found.checkpoint["channel_values"].get("messages", []))
        return Conversation(thread, asked[0] if asked else "", len(asked), found.checkpoint["ts"])

    def close(self) -> None:
        """Close the file."""
        self.conn.close()

    def _forget_before(self, kept: RunnableConfig) -> None:
        # Each checkpoint holds the whole conversation; only the newest is ever read.
        where = kept["configurable"]
        values = (where["thread_id"], where["checkpoint_ns"], where["checkpoint_id"])
        with self.cursor() as cursor:
            for table in ("checkpoints", "writes"):
                cursor.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_ns = ? "  # noqa: S608
                    "AND checkpoint_id < ?",
                    values,
                )

    def _warn(self, error: sqlite3.Error) -> None:
        if self._warned:
            return
        self._warned = True
        self.warning = (
            f"The conversation could not be kept in {self.path} ({error}): free the disk or close "
            "the other program. The answer is not affected."
        )
        _log.warning(self.warning)

    def _unreadable(self, error: Exception) -> MemoryStoreError:
        return MemoryStoreError(
            f"The conversations in {self.path} cannot be read ({error}): check the disk, or move "
            "the file away to begin anew."
        )
