"""YAML text → plain values, strictly: a key given twice and an impossible date such as 2023-02-30 are errors."""

from __future__ import annotations

from typing import Any

import yaml

from stforecast.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Safe YAML whose errors name the line of a key given twice and of an impossible date."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} is given twice; write it once", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(
                problem=f"{node.value} is no date or number ({error})", problem_mark=node.start_mark
            ) from None


def values_of(text: str, origin: str) -> Any:
    """The value of a YAML text.

    Args:
        origin: names the text in the error.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).replace('"<unicode string>", ', "").split())
        raise ConfigError(f"{origin}: cannot be read as YAML: {reason}") from error
