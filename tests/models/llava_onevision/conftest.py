"""Videos and a journal, as for every model that is asked."""

from tests.answering.conftest import journal, videos

__all__ = ["journal", "videos"]
