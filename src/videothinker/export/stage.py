"""`videothinker export`: one verb for all that takes work elsewhere."""

from pathlib import Path

from videothinker import hub
from videothinker.console import say
from videothinker.export.config import ExportConfig
from videothinker.lists.table import list_in
from videothinker.runs import open_run


def export(config: ExportConfig) -> Path:
    """Write what was asked for.

    Returns:
        The folder.

    Raises:
        UserError: see `merge`, `swift` and `lmms`.
    """
    adapter = None
    if config.merge is not None:
        from videothinker.export.merge import adapter_of  # noqa: PLC0415 (each needs its own much)

        adapter = adapter_of(config.merge)
    data = None if config.data is None else hub.local(config.data)
    inputs = {"adapter": adapter, "recipe": config.recipe}
    inputs["data"] = None if data is None else list_in(data)
    with open_run(config.out, "export", config, inputs) as run:
        if run.done:
            say(f"{config.out}: is done already; nothing to do")
        elif adapter is not None:
            from videothinker.export.merge import write_merged  # noqa: PLC0415

            write_merged(adapter, config, run)
        elif config.to == "ms-swift":
            from videothinker.export.swift import write_swift  # noqa: PLC0415

            assert data is not None
            write_swift(data, config, run)
        else:
            from videothinker.export.lmms import write_lmms  # noqa: PLC0415

            assert data is not None
            write_lmms(data, config, run)
    return config.out
