package gatewayfile

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
)

// schema is a JSON Schema, draft 2020-12.
type schema map[string]any

// Schema returns the JSON Schema of the file, for editors.
func Schema() string {
	definitions := schema{}
	top := structSchema(reflect.TypeFor[File](), definitions)
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "Configuration of gatehouse gateway"
	top["$defs"] = definitions
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	encoder.Encode(top) // maps and texts have no error
	return b.String()
}

// structSchema returns the schema of a mapping for the struct.
func structSchema(t reflect.Type, definitions schema) schema {
	properties := schema{}
	var required []string
	for _, m := range membersOf(t) {
		s := typeSchema(m.typ, definitions)
		if m.file {
			s = schema{"type": "string"}
		}
		if m.one != nil {
			s["enum"] = m.one
		}
		if m.doc != "" {
			s["description"] = m.doc
		}
		properties[m.name] = s
		if m.need {
			required = append(required, m.name)
		}
	}
	out := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if required != nil {
		out["required"] = required
	}
	return out
}

// typeSchema returns the schema of a value of the type. Structs are definitions, because they
// may contain themselves.
func typeSchema(t reflect.Type, definitions schema) schema {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeSchema(t.Elem(), definitions)
	case isSecret(t):
		return schema{"type": "string"}
	case t == typeDuration:
		return schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	case t == typeNames:
		return schema{"oneOf": []schema{{"type": "string"}, {"type": "array", "items": schema{"type": "string"}, "minItems": 1}}}
	case t.Kind() == reflect.Struct:
		return schema{"$ref": "#/$defs/" + define(t, definitions)}
	case t.Kind() == reflect.Slice:
		return schema{"type": "array", "items": typeSchema(t.Elem(), definitions)}
	case t.Kind() == reflect.Map:
		return schema{"type": "object", "additionalProperties": typeSchema(t.Elem(), definitions)}
	case t.Kind() == reflect.String:
		return schema{"type": "string"}
	case t.Kind() == reflect.Bool:
		return schema{"type": "boolean"}
	}
	return schema{"type": "integer"}
}

// define adds the definition of a struct and returns its name.
func define(t reflect.Type, definitions schema) string {
	name := memberName(t.Name())
	if definitions[name] != nil {
		return name
	}
	definitions[name] = schema{} // for structs that contain themselves
	switch t {
	case typeProvider:
		definitions[name] = providerSchema(definitions)
	case typeUpstream:
		definitions[name] = schema{"oneOf": []schema{{"type": "string"}, structSchema(t, definitions)}}
	default:
		definitions[name] = structSchema(t, definitions)
	}
	return name
}

// providerSchema returns the schema of a provider: its name, or the settings of its package. The
// settings are chosen by the name, so that a mistake in them is reported for that provider alone.
func providerSchema(definitions schema) schema {
	names := schema{"enum": providername.Names()}
	var settings []schema
	for _, p := range providername.All() {
		s := structSchema(reflect.TypeOf(p.NewConfig()).Elem(), definitions)
		name := schema{"const": p.Name}
		s["properties"].(schema)["name"] = name
		settings = append(settings, schema{"if": schema{"properties": schema{"name": name}, "required": []string{"name"}}, "then": s})
	}
	return schema{
		"type": []string{"string", "object"},
		"if":   schema{"type": "string"},
		"then": names,
		"else": schema{"properties": schema{"name": names}, "required": []string{"name"}, "allOf": settings},
	}
}
