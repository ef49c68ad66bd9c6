"""JSON Schemas of our models, as pydantic makes them, with the names and without the noise."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Mode: TypeAlias = Literal["validation", "serialization"]


class _Generator(GenerateJsonSchema):
    """Titles that only repeat a field's name are left out, and so are defaults that say nothing."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        if found.get("default", ...) is None:
            del found["default"]
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's many kinds of schema
        del schema
        return False


def schemas_of(
    shapes: Sequence[Any], mode: Mode, template: str
) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The schema of each shape, and the definitions that they refer to by ``template``, with ``{model}``."""
    inputs: list[tuple[int, Mode, TypeAdapter[Any]]] = [
        (number, mode, TypeAdapter(shape)) for number, shape in enumerate(shapes)
    ]
    found, definitions = TypeAdapter.json_schemas(inputs, ref_template=template, schema_generator=_Generator)
    return [found[number, mode] for number in range(len(shapes))], definitions.get("$defs", {})
