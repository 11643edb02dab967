"""The engine's toy policy, for the generators too."""

from tests.models.conftest import frames_THW3, group, policy, tiny_folder, tiny_folders

__all__ = ["frames_THW3", "group", "policy", "tiny_folder", "tiny_folders"]
