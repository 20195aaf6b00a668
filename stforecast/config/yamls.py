"""YAML text → plain values, strictly: a key given twice and an impossible date such as 2023-02-30 are errors, and what
no person would write (values nested without end, anchors that stand for millions of values) is refused as it is read.
"""

from __future__ import annotations

from typing import Any

import yaml

from stforecast.errors import ConfigError

LONGEST = 1 << 20
"""Letters of a text: a configuration has some thousands."""
DEEPEST = 50
LARGEST = 100_000
"""Values of a text once each `*anchor` is replaced by what it stands for."""


class _Loader(yaml.SafeLoader):
    """Safe YAML whose errors name the line of a key given twice and of an impossible date."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.sizes: dict[yaml.Node | None, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark, alias = self.peek_event().start_mark, self.check_event(yaml.AliasEvent)
        self.depth += 1
        if self.depth > DEEPEST:
            raise _problem(f"values are nested more than {DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if alias and node not in self.sizes:
            raise _problem("an anchor stands within itself; write out what is meant", mark)
        if not alias:
            parts = node.value if isinstance(node, yaml.CollectionNode) else ()
            inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
            self.sizes[node] = 1 + sum(self.sizes[part] for part in inner)
            if self.sizes[node] > LARGEST:
                raise _problem(f"anchors stand for more than {LARGEST:,} values; write out what is meant", mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem("a list or section stands as a key; write a word", key.start_mark)
            if key.value in seen:
                raise _problem(f"{key.value} is given twice; write it once", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise _problem(f"{node.value:.40} is no date or number ({error!s:.100})", node.start_mark) from None


def values_of(text: str, origin: str) -> Any:
    """The value of a YAML text.

    Args:
        origin: names the text in the error.

    Raises:
        ConfigError: it is not YAML, or is longer or deeper than any configuration.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"{origin}: more than {LONGEST:,} letters, so it is no configuration. Give the YAML file.")
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).replace('"<unicode string>", ', "").split())
        raise ConfigError(f"{origin}: cannot be read as YAML: {reason}") from error


def _problem(words: str, mark: yaml.Mark) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(problem=words, problem_mark=mark)
