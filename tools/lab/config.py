"""How `make lab` starts JupyterLab: nothing is fetched or asked, and notebooks are saved as they are committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def without_outputs(model: dict[str, Any], path: str, **_: Any) -> None:
    """Take outputs, counts and what the Lab notes for itself out of a notebook of notebooks/ before it is saved.

    What is shown stays shown; the file stays what git has, but for what was changed by hand.
    """
    content = model.get("content")
    if model.get("type") != "notebook" or not path.startswith("notebooks/") or not isinstance(content, dict):
        return
    content["metadata"] = METADATA
    for cell in content["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}


if "get_config" in globals():  # read by Jupyter; a test reads the function alone
    c = get_config()  # type: ignore[name-defined] # noqa: F821
    c.FileContentsManager.pre_save_hook = without_outputs
    c.FileCheckpoints.checkpoint_dir = str(HERE.parents[1] / "reports" / "lab" / "checkpoints")
    c.LabApp.app_settings_dir = str(HERE)
    c.LabApp.news_url = None
    c.LabApp.extension_manager = "readonly"
    c.ServerApp.root_dir = str(HERE.parents[1])
