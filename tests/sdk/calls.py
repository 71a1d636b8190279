"""Calls PrimeHub's SDK: reads a call from each line of stdin, and writes its result as a line of JSON.

Runs in the SDK's environment (.venv-sdk), which has none of this project's packages.
"""

import json
import os
import sys
from types import GeneratorType
from typing import Any

from primehub import PrimeHub, PrimeHubConfig
from primehub.utils import PrimeHubException


def main(endpoint: str, token: str, group: str) -> None:
    """Call `[command, function, arguments, options]` of every line."""
    hub = PrimeHub(PrimeHubConfig(config=os.devnull, endpoint=endpoint, token=token))
    hub.config.set_group(group)
    for line in sys.stdin:
        print(json.dumps(_call(hub, *json.loads(line))), flush=True)


def _call(hub: PrimeHub, command: str, function: str, arguments: list[Any], options: dict[str, Any]) -> dict[str, Any]:
    try:
        result = getattr(hub.commands[command], function)(*arguments, **options)
        return {"result": list(result) if isinstance(result, GeneratorType) else result}
    except PrimeHubException as error:
        return {"error": type(error).__name__, "details": error.args}


if __name__ == "__main__":
    main(*sys.argv[1:])
